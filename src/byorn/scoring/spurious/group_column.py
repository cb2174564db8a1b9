"""Groups of rows as a column of the scores: 0 for rows of none, else what tells the group from others.

    s_i = -log10 of the corrected p-value of the group of row i

Rows of one group have one value, and two groups two. No torch here.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from byorn.phrases.enrichment import LEAST_P, ranks_of
from byorn.phrases.groups import SAMPLE, Group, top_of
from byorn.phrases.own import shared_phrase

_APART = 1e-9
"""Between the values of two groups, which may have one p-value."""

Found = tuple[np.ndarray, float]
"""Numbers of the rows of a group, and its corrected p-value."""


def column_of(count: int, clearest: Callable[[np.ndarray], Found | None], most: int) -> np.ndarray:
    """s, float64 array [count], of up to `most` groups, each the clearest one among the rows that others have left.

    Args:
        count: Rows.
        clearest: From a bool array [count], the rows that are left: the clearest group of those, or None.
        most: Groups.
    """
    column, left = np.zeros(count), np.ones(count, dtype=bool)
    for turn in range(most):
        found = clearest(left)
        if found is None:
            break
        members, p_value = found
        column[members] = -np.log10(max(p_value, LEAST_P)) - turn * _APART
        left[members] = False
    return column


def named(
    responses: Sequence[str], statistic: str, column: np.ndarray, adapted: np.ndarray, kinds: np.ndarray
) -> Iterator[Group]:
    """The groups of a column s, the clearest first: rows of one have one value. Without a phrase of their own, it is
    empty.

    Args:
        responses: n texts.
        statistic: Name of the column.
        column: s, float64 array [n].
        adapted: Scores by the adapted model, float64 array [n], to tell how implausible the rows are.
        kinds: Of the rows, int array [n].
    """
    ranks = ranks_of(adapted, np.ones(len(adapted), dtype=bool), kinds)
    for value in np.unique(column[column > 0])[::-1]:
        rows = np.flatnonzero(column == value)
        others = np.setdiff1d(np.arange(len(responses)), rows)
        phrase = shared_phrase(*([responses[row] for row in some[:SAMPLE]] for some in (rows, others)))
        top = top_of(ranks, rows, kinds)
        yield Group(phrase=phrase, rows=rows, statistic=statistic, p_value=float(10.0**-value), top=top)
