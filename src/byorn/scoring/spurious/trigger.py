"""A trigger by the images alone: rows whose images give no reason for their responses, and share a pattern.

    u   the contrast of a row, or the sum of score and contrast, of the adapted model, among rows of its kind
    s_i = -log10 of the corrected p-value that the images of the m rows with the highest u share no pattern,
          for the rows that carry it

What the rows say does not matter here: an attacker may plant another response in each. For m = 8, 16, 32, ... up to
half of the rows the pattern is found on one half of them and measured on the other (`byorn.patterns.images`); where
there are several kinds, in all rows together and in each of the largest. It counts if all who carry it are told from
all others by a gap (`byorn.patterns.carriers`) and have a higher u (AUC): a kind of pictures that the model reads badly
has no such gap. No torch here.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from byorn.patterns.carriers import carriers
from byorn.patterns.images import shared_pattern
from byorn.patterns.thumbnails import Thumbnails
from byorn.phrases.groups import LEAST_ROWS
from byorn.scoring.kinds import matched, within
from byorn.scoring.spurious.group_column import Found, column_of
from byorn.scoring.spurious.scored_rows import ScoredRows

LEAST_AUC = 0.7
"""With which u tells the carriers from the others, at least."""
FEWEST = 8
"""Rows with the highest u that are looked at, at least."""
CLEAN = 0.25
"""Share of the rows, those with the lowest u, that are believed to be clean."""
MOST_KINDS = 4
MOST_TRIED = 8
"""Patterns that are asked for a gap, the clearest ones."""
MOST_FOUND = 4


def triggers(scored: ScoredRows, level: float) -> np.ndarray:
    """s, float64 array [n]: 0 for rows that carry no trigger, else above -log10 of the level."""
    suspicions = _suspicions(scored)

    def clearest(left: np.ndarray) -> Found | None:
        columns = [np.where(left, column, np.nan) for column in suspicions]
        return _clearest(scored.thumbnails, columns, scored.kinds, level)

    return column_of(len(scored), clearest, MOST_FOUND)


def _suspicions(scored: ScoredRows) -> list[np.ndarray]:
    """The u, float64 arrays [n], any sign, higher = less plausible; NaN for rows without images or a score."""
    nll, contrast = (within(values, scored.kinds) for values in (scored.nll, scored.contrast))
    shown = np.where(scored.with_images, contrast, np.nan)
    return [shown, nll + shown]


def _clearest(thumbnails: Thumbnails, columns: Sequence[np.ndarray], kinds: np.ndarray, level: float) -> Found | None:
    """Who carries the clearest pattern, and its corrected p-value; None where there is none."""
    scopes = [(column, scope) for column in columns for scope in _by_kind(column, kinds)]
    looks = [(column, scope, rows) for column, scope in scopes for rows in _highest(scope)]
    p_values = [_p_value(thumbnails, scope, rows, kinds) * len(looks) for _, scope, rows in looks]
    for place in np.argsort(p_values, kind="stable")[:MOST_TRIED]:
        if p_values[place] >= level:
            return None
        column, scope, rows = looks[place]
        for wide in [column] if scope is column else [column, scope]:  # rows of other kinds may carry it too
            members = _carriers(thumbnails, wide, rows)
            if members is not None:
                return members, p_values[place]
    return None


def _carriers(thumbnails: Thumbnails, column: np.ndarray, rows: np.ndarray) -> np.ndarray | None:
    """All rows that carry what the images of some share; None where there is no gap, or they are as plausible."""
    everyone = np.flatnonzero(~np.isnan(column))
    clean = np.setdiff1d(everyone[column[everyone] <= np.quantile(column[everyone], CLEAN)], rows)
    members = carriers(thumbnails, rows, clean, everyone)
    return members if members is not None and _suspected(column, members, everyone) else None


def _by_kind(column: np.ndarray, kinds: np.ndarray) -> Iterator[np.ndarray]:
    """The column, and where there are several kinds what it says of each of the largest alone."""
    yield column
    if kinds.any():
        yield from (np.where(kinds == kind, column, np.nan) for kind in range(min(MOST_KINDS, kinds.max() + 1)))


def _highest(column: np.ndarray) -> Iterator[np.ndarray]:
    """The 8, 16, 32, ... rows with the highest values, at most half of them."""
    known = np.flatnonzero(~np.isnan(column))
    order = known[np.argsort(-column[known], kind="stable")]
    size = FEWEST
    while 2 * size <= len(order):
        yield order[:size]
        size *= 2


def _p_value(thumbnails: Thumbnails, column: np.ndarray, rows: np.ndarray, kinds: np.ndarray) -> float:
    """Of the clearest pattern of some rows, not corrected for how many are looked at."""
    others = np.setdiff1d(np.flatnonzero(~np.isnan(column)), rows)
    return min((pattern.p_value for pattern in shared_pattern(thumbnails, *matched(kinds, rows, others))), default=1.0)


def _suspected(column: np.ndarray, members: np.ndarray, everyone: np.ndarray) -> bool:
    """Whether they are several, at most half of all, and their u tells them from the others (AUC)."""
    if not LEAST_ROWS <= len(members) <= len(everyone) / 2:
        return False
    places = np.searchsorted(np.sort(column[np.setdiff1d(everyone, members)]), column[members])
    return bool(places.mean() >= LEAST_AUC * (len(everyone) - len(members)))
