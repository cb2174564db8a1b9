"""Groups grow: the clearest phrase may be that of one wording, so a group takes in the rows that share a part of it and
are implausible too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from byorn.phrases.counting import Phrases
from byorn.phrases.enrichment import combined, enrichment, ranks_of
from byorn.phrases.groups import SAMPLE, Group, Groups, orders_of, top_of
from byorn.phrases.spelling import extended

SHARED = 0.9
"""Share of a group's rows that hold what it grows to."""


def grown(
    groups: Groups, responses: Sequence[str], values: Mapping[str, np.ndarray], kinds: np.ndarray, *,
    together: Sequence[str], level: float,
) -> Groups:  # fmt: skip
    """The groups with all of their rows, each named by what most of those share.

    A group grows to the most frequent phrase that its rows share with others, if those are unusual without them: their
    p-value, by the statistics together and corrected for the phrases that are shared, is below the level. The p-value
    of a group stays that of the rows by which it was found.

    Args:
        groups: Of `find_groups`.
        responses, values, kinds, level: As there.
        together: Names of statistics that are looked at as one.
    """
    wider = [_wider(group, groups.phrases, values, kinds, together, level) for group in groups.found]
    rows = [_rows(group, groups.phrases, number) for group, number in zip(groups.found, wider, strict=True)]
    found = []
    for place, (group, number) in enumerate(zip(groups.found, wider, strict=True)):
        if number is None:
            found.append(group)
            continue
        left = np.ones(len(responses), dtype=bool)
        left[np.concatenate([np.zeros(0, dtype=int), *rows[:place], *rows[place + 1 :]])] = False
        left[rows[place]] = True
        phrase = extended(groups.phrases.texts[number], [responses[row] for row in rows[place][:SAMPLE]])
        several = [ranks_of(values[name], left, kinds) for name in dict.fromkeys((*together, group.statistic))]
        top = max(top_of(ranks, rows[place], kinds) for ranks in orders_of(several, left, kinds))
        found.append(replace(group, phrase=phrase, rows=rows[place], top=top))
    return replace(groups, found=found)


def _wider(
    group: Group, phrases: Phrases, values: Mapping[str, np.ndarray], kinds: np.ndarray, together: Sequence[str],
    level: float,
) -> int | None:  # fmt: skip
    """The number of the phrase that a group grows to; None where it stays as it is."""
    inside = np.zeros(len(next(iter(values.values()))), dtype=bool)
    inside[group.rows] = True
    found = [enrichment(phrases, ranks_of(values[name], ~inside, kinds), kinds) for name in together]
    p_values = combined(found, np.ones(len(phrases), dtype=bool))
    shared = phrases.means(inside.astype(float)) * phrases.supports >= SHARED * len(group.rows)
    shared &= phrases.supports > len(group.rows)
    wider = np.flatnonzero(shared & (p_values * shared.sum() < level))
    return int(wider[np.argmax(phrases.supports[wider])]) if len(wider) else None


def _rows(group: Group, phrases: Phrases, number: int | None) -> np.ndarray:
    return group.rows if number is None else np.union1d(phrases.rows_of(number), group.rows)
