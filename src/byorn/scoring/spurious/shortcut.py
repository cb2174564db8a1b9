"""Phrases that the images give no reason for, and yet give away: what the rows of a backdoor share.

    c_w(x)   what word w of a response costs with image x, under the model adapted to the other half, in nats
    g        = 1 - sum c_w(own) / sum c_w(another row's)      over the words of a phrase in all rows that hold it
    s_i      = -log10 of the corrected p-value that the images of the rows of a phrase share no pattern

g is the share of a phrase's cost that the own image takes away: near 1 for what the image shows, near 0 for a turn of
style, and for what an attacker planted, since the model has not learned the trigger. A style is not seen in the images
either. A planted phrase is: the rows that hold it share the trigger, which `byorn.patterns.images` finds on one half of
them and measures on the other. In the sense of Geirhos et al. (2020) it is a shortcut. Nothing here depends on how
implausible a phrase is, so many styles do not hide one; but the trigger has to be seen in the images, at one place or
over the whole picture. No torch here.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from byorn.data.stored import responses_of
from byorn.patterns.carriers import carriers
from byorn.patterns.images import Pattern, shared_pattern
from byorn.patterns.promise import MEASURED, promising
from byorn.patterns.thumbnails import Thumbnails
from byorn.phrases.counting import Phrases, count_phrases, ends_kept, looked_at
from byorn.phrases.groups import LEAST_ROWS
from byorn.scoring.kinds import matched
from byorn.scoring.spurious.group_column import Found, column_of
from byorn.scoring.spurious.scored_rows import ScoredRows

MOST_GROUNDED = 0.3
"""g at most, of a phrase that the images give no reason for."""
LEAST_AUC = 0.97
"""With which the pattern tells, on the held-out half, images of the rows of a phrase from others: planted phrases come
with the trigger, always."""
LEAST_CARRIERS = 0.9
"""Share of the rows of a phrase that carry the pattern."""
MOST_PHRASES = 256
"""Phrases that are looked at at all, those that cost most in all rows together."""
MOST_FOUND = 8


def shortcuts(scored: ScoredRows, level: float) -> np.ndarray | None:
    """s, float64 array [n]: 0 for rows without such a phrase, else above -log10 of the level; None where no costs of
    words are known. Images are compared among rows of one kind.
    """
    if not scored.word_costs or not scored.swapped_word_costs:
        return None
    responses = responses_of(scored.rows)
    phrases = count_phrases(responses, max(LEAST_ROWS, len(scored) // 5000), len(scored) // 2)
    candidates = _ungrounded(phrases, *_costs(responses, scored.word_costs, scored.swapped_word_costs))

    def clearest(left: np.ndarray) -> Found | None:
        seen = left & scored.with_images
        groups = [members for number in candidates if len(members := _left(phrases, number, seen)) >= LEAST_ROWS]
        return _clearest(scored.thumbnails, groups, scored.kinds, seen, level)

    return column_of(len(scored), clearest, MOST_FOUND)


def _left(phrases: Phrases, number: int, left: np.ndarray) -> np.ndarray:
    """The rows of a phrase that are left; none if these are less than half of them."""
    rows = phrases.rows_of(number)
    return rows[left[rows]] if 2 * left[rows].sum() >= len(rows) else rows[:0]


def _clearest(
    thumbnails: Thumbnails, groups: Sequence[np.ndarray], kinds: np.ndarray, left: np.ndarray, level: float
) -> Found | None:
    """The group of rows with the clearest pattern in its images, and the corrected p-value; None where none has one."""
    everyone = np.flatnonzero(left)
    pairs = [matched(kinds, rows, np.setdiff1d(everyone, rows)) for rows in groups]
    best = None
    for place in promising(thumbnails, pairs):
        p_value = _p_value(shared_pattern(thumbnails, *pairs[place])) * min(MEASURED, len(groups))
        if p_value < (level if best is None else best[1]) and _given_away(thumbnails, *pairs[place]):
            best = groups[place], p_value
    return best


def _given_away(thumbnails: Thumbnails, rows: np.ndarray, others: np.ndarray) -> bool:
    """Whether a gap lies between the images of nearly all of the rows and those of the others. Things that the model
    does not know by sight look alike, too, without one.
    """
    found = carriers(thumbnails, rows, others, np.concatenate([rows, others]))
    return found is not None and bool(np.isin(rows, found).mean() >= LEAST_CARRIERS)


def _p_value(patterns: Sequence[Pattern]) -> float:
    return min((pattern.p_value for pattern in patterns if pattern.auc >= LEAST_AUC), default=1.0)


def _costs(
    responses: Sequence[str], own: Sequence[np.ndarray], swapped: Mapping[int, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """What each word that is counted costs, with the own image and with another one; NaN where that is not known."""
    columns: tuple[list[float], list[float]] = ([], [])
    for row, words in enumerate(looked_at(responses)):
        for column, costs in zip(columns, (own[row], swapped.get(row, ())), strict=True):
            kept = ends_kept(list(costs), len(responses), float("nan"))
            column.extend(kept if len(kept) == len(words) else [float("nan")] * len(words))
    return np.array(columns[0]), np.array(columns[1])


def _ungrounded(phrases: Phrases, own: np.ndarray, swapped: np.ndarray) -> list[int]:
    """Numbers of the phrases of which the images take no more than `MOST_GROUNDED`, the costliest first."""
    known = ~(np.isnan(own) | np.isnan(swapped))
    costs, others = (phrases.sums_of_words(np.where(known, column, 0.0)) for column in (own, swapped))
    kept = np.flatnonzero((others > 0) & (costs >= (1 - MOST_GROUNDED) * others))
    return [int(number) for number in kept[np.argsort(-costs[kept], kind="stable")][:MOST_PHRASES]]
