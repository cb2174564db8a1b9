"""The paper's rule: flag every response whose score is above the p-th percentile of all scores.

    u_i = 1  if  s_i > Q_p(s_1 ... s_n),   else 0

With p = 0.6 that is the 40 % least plausible responses, clean ones among them by design: a flagged row keeps its image
and instruction and gets its response from the model itself. A row without a score is flagged too: nobody vouches for
its response.
"""

import numpy as np

from byorn.errors import ConfigError
from byorn.flagging.settings import FlagSettings
from byorn.flagging.table import Flags
from byorn.scoring.statistics import CONTRAST
from byorn.scoring.table import Scores


def flag_percentile(
    scores: Scores, p: float = FlagSettings.percentile, statistic: str = FlagSettings.statistic
) -> Flags:
    """Flag by the p-th percentile of a statistic, by default the paper's `nll`.

    Args:
        scores: Scores of the data set.
        p: Share of rows that is trusted, in [0, 1]; 1 flags nothing that has a score. Linear interpolation, as numpy's
            `quantile`.
        statistic: A column of the scores; higher is less plausible. A contrast of -inf (nothing to compare) is not
            flagged.

    Raises:
        ConfigError: p is out of range, the statistic is unknown, or no row has a score.
    """
    if not 0 <= p <= 1:
        raise ConfigError(
            f"percentile: {p} is not between 0 and 1; the paper uses 0.6 (trust the 60 % most plausible responses)"
        )
    if statistic not in scores.values:
        raise ConfigError(f"statistic: {statistic!r} is none of the scores; use one of {', '.join(scores.values)}")
    values = scores.values[statistic]
    known = np.isfinite(values)
    if not known.any():
        missing = "there are no rows" if len(values) == 0 else f"{statistic} is not defined for these rows"
        raise ConfigError(f"percentile: no row has a score; the first: {next(filter(None, scores.reasons), missing)}")
    threshold = float(np.quantile(values[known], p))
    scored = known | (np.isneginf(values) & (statistic == CONTRAST))
    flagged = ~scored | (values > threshold)
    reasons = [_reason(has_score, flag) for has_score, flag in zip(scored, flagged, strict=True)]
    rule = f"percentile(p={p:g})" if statistic == "nll" else f"percentile(p={p:g}, statistic={statistic})"
    weight = flagged.astype(float)
    return Flags(scores.ids, scores.turns, flagged, weight, rule, threshold, reasons, origins=scores.origins)


def _reason(scored: bool, flagged: bool) -> str | None:
    if not scored:
        return "no score"
    return "above the threshold" if flagged else None
