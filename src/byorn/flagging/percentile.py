"""The paper's rule: flag every response whose score is above the p-th percentile of all scores.

    u_i = 1  if  s_i > Q_p(s_1 ... s_n),   else 0

With p = 0.6 that is the 40 % least plausible responses, clean ones among them by design: a flagged row keeps its image
and instruction and gets its response from the model itself. A row without a score is flagged too: nobody vouches for
its response.
"""

import numpy as np

from byorn.errors import ConfigError
from byorn.flagging.table import Flags
from byorn.scoring.table import Scores


def flag_percentile(scores: Scores, p: float = 0.6) -> Flags:
    """Flag by the p-th percentile of `nll`.

    Args:
        scores: Scores of the data set.
        p: Share of rows that is trusted, in [0, 1]; 1 flags nothing that has a score. Linear interpolation, as numpy's
            `quantile`.

    Raises:
        ConfigError: p is out of range, or no row has a score.
    """
    if not 0 <= p <= 1:
        raise ConfigError(
            f"percentile: {p} is not between 0 and 1; the paper uses 0.6 (trust the 60 % most plausible responses)"
        )
    scored = np.isfinite(scores.nll)
    if not scored.any():
        first = next(filter(None, scores.reasons), "there are no rows")
        raise ConfigError(f"percentile: no row has a score; the first: {first}")
    threshold = float(np.quantile(scores.nll[scored], p))
    flagged = ~scored | (scores.nll > threshold)
    reasons = [_reason(has_score, flag) for has_score, flag in zip(scored, flagged, strict=True)]
    return Flags(scores.ids, scores.turns, flagged, flagged.astype(float), f"percentile(p={p:g})", threshold, reasons)


def _reason(scored: bool, flagged: bool) -> str | None:
    if not scored:
        return "no score"
    return "above the threshold" if flagged else None
