"""How well a scan sees rows that were planted on purpose, among rows that were not.

    placement_i = share of the unplanted rows whose score is below that of planted row i, ties half

The AUC is the mean of the placements (Mann and Whitney). Its interval is Wilson's with as many observations as there
are planted rows: placements lie in [0, 1], so they vary at most as much as a share with this mean does, and where all
of them stand at one end a width is left, which a bootstrap has not. Times 100 a placement is the percentile at which
the row stands.
"""

from dataclasses import dataclass

import numpy as np

from byorn.errors import DataError
from byorn.evaluation.comparisons import more_often
from byorn.evaluation.intervals import Interval, wilson
from byorn.evaluation.repeats import Share

LEVEL = 0.05


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What the scores and flags of one planted attack say.

    Attributes:
        flagged: Of the planted rows (the recall).
        false_flags: Of all others.
        p_value: Fisher's exact test, one side, that planted rows are flagged more often.
        auc: Probability that a planted row scores above another, and its 95 % interval.
        percentiles: Of each planted row among the others, in [0, 100].
    """

    flagged: Share
    false_flags: Share
    p_value: float
    auc: float
    auc_interval: Interval
    percentiles: list[float]

    @property
    def median(self) -> float:
        """The percentile at which the middle planted row stands."""
        return float(np.median(self.percentiles))

    @property
    def by_chance(self) -> bool:
        """Whether planted rows are flagged no more often than others, or not so much that chance would not do it."""
        return self.p_value >= LEVEL

    @property
    def undecided(self) -> bool:
        """Whether that is for their small number: they are flagged more often and it may be chance, or would be if all
        of them were flagged.
        """
        caught, false = self.flagged, self.false_flags
        more = caught.hits * false.n > false.hits * caught.n
        return self.by_chance and (more or more_often(caught.n, caught.n, false.hits, false.n) >= LEVEL)


def sight(suspicion: np.ndarray, flagged: np.ndarray, planted: np.ndarray) -> Sight:
    """How planted rows stand among the others.

    Args:
        suspicion: float64 array [n], higher is more suspicious; NaN is the most.
        flagged, planted: bool arrays [n].

    Raises:
        DataError: No row is planted, or every one is.
    """
    if planted.all() or not planted.any():
        raise DataError(f"{int(planted.sum())} of {len(planted)} rows are planted; both kinds are needed")
    placed = placements(suspicion[planted], suspicion[~planted])
    caught = Share.of(flagged[planted].tolist())
    false = Share.of(flagged[~planted].tolist())
    return Sight(
        flagged=caught,
        false_flags=false,
        p_value=more_often(caught.hits, caught.n, false.hits, false.n),
        auc=float(placed.mean()),
        auc_interval=wilson(float(placed.sum()), len(placed)),
        percentiles=(100 * placed).tolist(),
    )


def placements(scores: np.ndarray, others: np.ndarray) -> np.ndarray:
    """float64 array in [0, 1]: the share of `others` below each score, ties half; NaN stands above all numbers."""
    ranked = np.sort(np.nan_to_num(others, nan=np.inf))
    known = np.nan_to_num(scores, nan=np.inf)
    below = np.searchsorted(ranked, known, side="left")
    up_to = np.searchsorted(ranked, known, side="right")
    return np.asarray((below + up_to) / (2 * len(ranked)))
