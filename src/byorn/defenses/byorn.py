"""`byorn`: replace the responses that the pretrained model finds implausible by samples of the model's own average.

Formula: u_i = [s_i > Q_p(s)], s the mean negative log-likelihood under the pretrained model. Flagged rows are learned
    with t^_i ~ p_ema(. | x_i, q_i) in place of y_i, drawn anew at every visit.
Cost: one forward pass a row before training; sampling while training is counted in `seconds.sampling`.
Source: Sabolić et al., ICML 2026, arXiv 2606.02947; `docs/method.md`. The sibling without replacement: `byorn-f`.
"""

from byorn.defenses.plan import Case, Cost, Plan


def byorn(case: Case) -> Plan:
    """Score, and flag above the percentile of the run; `scores.parquet` and `flags.parquet` are those of `byorn
    scan`.
    """
    flags, spent = case.scored()
    return Plan(flags=flags, cost=Cost(spent, forward_passes=len(case.rows)))
