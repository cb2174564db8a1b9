"""Who carries a pattern: from some rows whose images share one, all of those that have it.

    t_i = (score of the images of row i - a) / (b - a)      a: the median of rows that are believed to be clean,
                                                            b: that of the first rows, of those above all clean ones

The hypotheses of `byorn.patterns.hypotheses` are found on one half of the rows and score the other, and the other way
round, so that t is near 1 for a carrier in either half, and near 0 for others. The rows that lie halfway between the
highest clean row and 1, or higher, are looked at in place of the first ones until nothing changes: these are the
carriers. A trigger leaves a gap between them and all others, whereas kinds of pictures that are merely unlike others
run into each other.
"""

from dataclasses import dataclass

import numpy as np

from byorn.patterns.hypotheses import Hypothesis, hypotheses_of
from byorn.patterns.images import MOST_INSIDE, MOST_OUTSIDE
from byorn.patterns.thumbnails import Thumbnails

GAP = 2.0
"""t of nearly all carriers over that of nearly all others, at least."""
_LOW, _HIGH = 0.1, 0.99
"""The quantiles that stand for nearly all of them."""
_ROUNDS = 4
_LOOKED_AT = 3000
"""Images, beside those of the first rows, in all rounds but the last."""


@dataclass(frozen=True)
class _Split:
    """By one kind of hypothesis: t of all rows, NaN without images; the share of the first rows that are above the
    clean ones; and the highest t of those.
    """

    values: np.ndarray
    above: float
    top: float

    @property
    def cut(self) -> float:
        return (self.top + 1) / 2


def carriers(thumbnails: Thumbnails, some: np.ndarray, clean: np.ndarray, everyone: np.ndarray) -> np.ndarray | None:
    """Numbers of the rows whose images have what those of `some` share; None where there is no gap.

    Args:
        thumbnails: Of all rows.
        some: Numbers of rows, most of which are thought to share a pattern.
        clean: Rows that are believed not to have it, none of `some`.
        everyone: The rows to look at, those of `some` and `clean` among them.
    """
    firsts = thumbnails.firsts(everyone)
    place = dict(zip(everyone.tolist(), firsts.tolist(), strict=True))
    members, clean = (np.unique([place[row] for row in rows.tolist()]) for rows in (some, clean))
    distinct = np.unique(firsts)
    looked_at = np.union1d(members, np.random.default_rng(0).permutation(distinct)[:_LOOKED_AT])
    settled = _settled(thumbnails, members, np.intersect1d(clean, looked_at), looked_at)
    if settled is None:
        return None
    found = _best(thumbnails, settled, np.setdiff1d(np.intersect1d(clean, looked_at), settled), distinct)
    if found is None or not _apart(found.values, found.values > found.cut):
        return None
    return everyone[np.isin(firsts, distinct[found.values > found.cut])]


def _settled(
    thumbnails: Thumbnails, members: np.ndarray, clean: np.ndarray, looked_at: np.ndarray
) -> np.ndarray | None:
    """The carriers among the rows that are looked at; None where they change again and again, or there is no gap."""
    for _ in range(_ROUNDS):
        found = _best(thumbnails, members, np.setdiff1d(clean, members), looked_at)
        if found is None:
            return None
        before, members = members, looked_at[found.values > found.cut]
        if np.array_equal(before, members):
            return members if _apart(found.values, found.values > found.cut) else None
    return None


def _best(thumbnails: Thumbnails, members: np.ndarray, clean: np.ndarray, everyone: np.ndarray) -> _Split | None:
    """By the hypothesis that puts most of the members above the clean rows, the farthest if that is the same."""
    odd = _odd(thumbnails, everyone, np.isin(everyone, members))
    values: dict[str, np.ndarray] = {}
    for half in (False, True):
        there, here = everyone[odd != half], np.flatnonzero(odd == half)
        inside, outside = (there[np.isin(there, numbers)] for numbers in (members, clean))
        hypotheses = _found(thumbnails, inside[:MOST_INSIDE], outside[:MOST_OUTSIDE])
        for kind, scores in _scored(thumbnails, hypotheses, everyone[here]).items():
            found = _standard(scores, np.isin(everyone[here], members), np.isin(everyone[here], clean))
            values.setdefault(kind, np.full(len(everyone), np.nan))[here] = found
    splits = [_split(column, np.isin(everyone, members), np.isin(everyone, clean)) for column in values.values()]
    return max(splits, key=lambda split: (split.above, -split.top), default=None)


def _odd(thumbnails: Thumbnails, everyone: np.ndarray, member: np.ndarray) -> np.ndarray:
    """bool array: every other row is in the second half, of members and of others alike, by the hashes of names."""
    order = np.array(sorted(range(len(everyone)), key=lambda place: thumbnails.digest(int(everyone[place]))), dtype=int)
    odd = np.zeros(len(everyone), dtype=bool)
    for group in (order[member[order]], order[~member[order]]):
        odd[group[1::2]] = True
    return odd


def _found(thumbnails: Thumbnails, inside: np.ndarray, outside: np.ndarray) -> list[Hypothesis]:
    groups = [thumbnails.of(numbers) for numbers in (inside, outside)]
    return hypotheses_of(*groups) if min(len(group.pixels) for group in groups) > 1 else []


def _scored(thumbnails: Thumbnails, hypotheses: list[Hypothesis], numbers: np.ndarray) -> dict[str, np.ndarray]:
    """The scores of these rows, NaN where no image can be opened."""
    found: dict[str, np.ndarray] = {one.kind: np.full(len(numbers), np.nan) for one in hypotheses}
    for seen, pictures in thumbnails.passing(numbers):
        if len(seen):
            for one in hypotheses:
                found[one.kind][np.isin(numbers, seen)] = pictures.most(one.score(pictures))
    return found


def _standard(scores: np.ndarray, member: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """t; NaN where no member is above the clean rows."""
    known = scores[clean & ~np.isnan(scores)]
    higher = scores[member & (scores > known.max(initial=-np.inf))]
    if not len(known) or not len(higher):
        return np.full(len(scores), np.nan)
    middle = np.median(known)
    return np.asarray((scores - middle) / (np.median(higher) - middle))


def _split(values: np.ndarray, member: np.ndarray, clean: np.ndarray) -> _Split:
    top = float(np.nan_to_num(values[clean]).max(initial=0.0))
    return _Split(values, float((values[member] > top).mean()), top)


def _apart(values: np.ndarray, member: np.ndarray) -> bool:
    """Whether there is a gap."""
    others = values[~member & ~np.isnan(values)]
    if not member.any() or not len(others):
        return False
    return bool(np.quantile(values[member], _LOW) >= GAP * np.quantile(others, _HIGH))
