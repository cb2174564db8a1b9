"""In which order people look at rows: first what is flagged and undecided, the highest score first."""

import numpy as np

from byorn.flagging.table import Flags


def review_order(flags: Flags, words: list[str], scores: np.ndarray) -> list[int]:
    """All row numbers: undecided flagged rows, undecided others, decided ones; each by score, unscored ones first.

    Args:
        flags: One a row.
        words: The review word of each row.
        scores: float array [n], higher = less plausible; NaN where a row could not be scored.
    """
    decided = np.array([word != "auto" for word in words], dtype=bool)
    group = np.where(decided, 2, np.where(flags.flagged, 0, 1))
    return [int(row) for row in np.lexsort((-np.where(np.isnan(scores), np.inf, scores), group))]
