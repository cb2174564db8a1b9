"""`byorn`: replace the responses that the pretrained model finds implausible by samples of the model's own average.

Formula: u_i = [e_i >= 3], e the evidence of `byorn.scoring.evidence`; with rule paper u_i = [s_i > Q_p(s)], s the mean
    negative log-likelihood under the pretrained model. Flagged rows are learned with t^_i ~ p_ema(. | x_i, q_i) in
    place of y_i, drawn anew at every visit.
Cost: three forward passes a row and a short adaptation before training (with rule paper one pass); sampling while
    training is counted in `seconds.sampling`.
Source: Sabolić et al., ICML 2026, arXiv 2606.02947; `docs/method.md`. The sibling without replacement: `byorn-f`.
"""

from byorn.defenses.plan import Case, Cost, Plan
from byorn.flagging.rules import passes_of


def byorn(case: Case) -> Plan:
    """Score, and flag by the rule of the run; `scores.parquet` and `flags.parquet` are those of `byorn scan`."""
    flags, spent = case.scored()
    return Plan(flags=flags, cost=Cost(spent, forward_passes=passes_of(flags.rule) * len(case.rows)))
