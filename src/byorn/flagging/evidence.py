"""Flag the rows against which there is enough evidence, however many they are: none where nothing is poisoned.

    u_i = 1  if  e_i >= 3,  else 0          e_i of `byorn.scoring.evidence`

The weight of a flagged row is 1 - 10^-e_i: the probability that its group does not stand out by chance. A row without
a score is flagged too: nobody vouches for its response.
"""

import numpy as np

from byorn.errors import ConfigError
from byorn.flagging.table import Flags
from byorn.scoring.evidence import THRESHOLD
from byorn.scoring.statistics import EVIDENCE
from byorn.scoring.table import Scores

RULE = "evidence"


def flag_evidence(scores: Scores) -> Flags:
    """Flag by the column `evidence` of the scores.

    Raises:
        ConfigError: The scores have no such column, or no row has a score.
    """
    if EVIDENCE not in scores.values:
        raise ConfigError("rule: the scores hold no evidence; scan again with rule evidence, or use rule paper")
    values = scores.values[EVIDENCE]
    known = ~np.isnan(values)
    if not known.any():
        missing = "there are no rows" if len(values) == 0 else "their likelihoods are not finite"
        raise ConfigError(f"rule: no row has a score; the first: {next(filter(None, scores.reasons), missing)}")
    high = known & (values >= THRESHOLD)
    weight = np.where(known, np.where(high, 1 - 10.0 ** -np.maximum(values, 0), 0.0), 1.0)
    reasons = [_reason(has_score, flag) for has_score, flag in zip(known, high, strict=True)]
    return Flags(scores.ids, scores.turns, high | ~known, weight, RULE, THRESHOLD, reasons, origins=scores.origins)


def _reason(scored: bool, flagged: bool) -> str | None:
    if not scored:
        return "no score"
    return "in a group that stands out" if flagged else None
