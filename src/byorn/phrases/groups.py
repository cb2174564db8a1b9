"""Rows that say the same and whose responses are the least plausible: what a planted response looks like.

For every phrase of the corpus, in each statistic of the scores, the rows that hold it are compared with all others (see
`byorn.phrases.enrichment`); the p-value is multiplied by the number of phrases and statistics (Bonferroni). Where that
is below the level, the rows are taken away and the rest looked at again, so that two attackers are two groups. A phrase
stands out if, the other ones taken away, two thirds of the k least plausible responses hold it, by a statistic or by
the mean rank of those that are looked at as one; below `CLEAR` it is enough that two thirds of those do that are as
implausible as the middle one of its rows. What more than half of the rows that are left say is their style.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from byorn.phrases.counting import Phrases, count_phrases
from byorn.phrases.enrichment import Enrichment, combined, enrichment, ranks_of
from byorn.phrases.spelling import extended

LEVEL = 0.05
CLEAR = 0.01
LEAST_TOP = 2 / 3
"""Rare words of clean data make responses less likely too, but other responses lie between them."""
LEAST_ROWS = 4
MOST_GROUPS = 8
SAMPLE = 300
"""Responses that a phrase is extended over."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Rows whose responses share a phrase and stand out.

    Attributes:
        phrase: The longest one that nearly all of them share.
        rows: int array [k], their numbers.
        statistic: The score that shows it best.
        p_value: Corrected for every phrase and statistic that was looked at.
        top: How many of the k least plausible rows hold the phrase.
    """

    phrase: str
    rows: np.ndarray
    statistic: str
    p_value: float
    top: int


@dataclass(frozen=True, kw_only=True)
class Groups:
    """What stands out, and how much was looked at.

    Attributes:
        found: The groups, the clearest first.
        phrases: Those that were tested.
        tests: How many tests p-values are corrected for.
        least: A phrase in fewer rows was not looked at.
    """

    found: Sequence[Group]
    phrases: Phrases
    tests: int
    least: int


def find_groups(
    responses: Sequence[str],
    values: Mapping[str, np.ndarray],
    *,
    tested: Sequence[Sequence[str]] | None = None,
    level: float = LEVEL,
    most: int = MOST_GROUPS,
) -> Groups:
    """The phrases that stand out, see above.

    Args:
        responses: n texts.
        values: Statistic -> float64 array [n], higher = less plausible; NaN says nothing.
        tested: Names of statistics that are looked at as one, for each test; by default each alone.
        level: Corrected p-value below which a phrase may stand out.
        most: Phrases that are looked for.
    """
    least = max(LEAST_ROWS, len(responses) // 5000)
    phrases = count_phrases(responses, least, len(responses) // 2)
    tested = [(name,) for name in values] if tested is None else tested
    tests = max(1, len(phrases) * len(tested))
    looks = list(islice(_significant(values, tested, phrases, level / tests, len(responses)), most))
    found = list(_standing_out(responses, values, phrases, tests, looks))
    return Groups(found=found, phrases=phrases, tests=tests, least=least)


def _standing_out(
    responses: Sequence[str], values: Mapping[str, np.ndarray], phrases: Phrases, tests: int, looks: Sequence["_Look"]
) -> Iterator[Group]:
    """Of the significant phrases those that most of the least plausible responses hold."""
    for look in looks:
        left = np.ones(len(responses), dtype=bool)
        for other in looks:
            left[other.rows] = other is look
        left[look.rows] = True
        several = [ranks_of(values[name], left) for name in look.names]
        orders = several if len(several) == 1 else [*several, ranks_of(np.sum(several, axis=0), left)]
        clear = look.p_value * tests < CLEAR
        if any(_stands_out(ranks, look.rows, clear) for ranks in orders):
            texts = [responses[row] for row in look.rows[:SAMPLE]]
            yield Group(
                phrase=extended(phrases.texts[look.number], texts),
                rows=look.rows,
                statistic=look.statistic,
                p_value=min(1.0, look.p_value * tests),
                top=max(top_of(ranks, look.rows) for ranks in orders),
            )


def _stands_out(ranks: np.ndarray, rows: np.ndarray, clear: bool) -> bool:
    """Whether most of the least plausible rows are of those: as many as they are or, of a clear group, those that are
    as implausible as its middle row.
    """
    known = rows[ranks[rows] > 0]
    return top_of(ranks, rows) >= LEAST_TOP * len(known) or (clear and _upper_half(ranks, known) >= LEAST_TOP)


def top_of(ranks: np.ndarray, rows: np.ndarray) -> int:
    """How many of the k least plausible rows are of these k."""
    known = rows[ranks[rows] > 0]
    return int((ranks[known] > (ranks > 0).sum() - len(known)).sum())


def _upper_half(ranks: np.ndarray, rows: np.ndarray) -> float:
    """Of the rows that are as implausible as the middle one of `rows`, the share that is of them."""
    middle = np.median(ranks[rows])
    return float((ranks[rows] >= middle).sum() / (ranks >= middle).sum())


@dataclass(frozen=True, kw_only=True)
class _Look:
    """The clearest phrase by one test: the statistics that are looked at as one, that which shows it best, its number,
    its rows, and its p-value without correction.
    """

    names: Sequence[str]
    statistic: str
    number: int
    rows: np.ndarray
    p_value: float


def _significant(
    values: Mapping[str, np.ndarray], tested: Sequence[Sequence[str]], phrases: Phrases, level: float, count: int
) -> Iterator[_Look]:
    """The clearest phrase, the clearest of what is left without its rows, and so on."""
    left = np.ones(count, dtype=bool)
    while len(phrases):
        found = {name: enrichment(phrases, ranks_of(column, left)) for name, column in values.items()}
        looks = [_look(phrases, {name: found[name] for name in names}, left) for names in tested]
        best = min(looks, key=lambda look: (look.p_value, -len(look.rows)))
        if best.p_value >= level:
            return
        yield best
        left[best.rows] = False


def _look(phrases: Phrases, found: Mapping[str, Enrichment], left: np.ndarray) -> _Look:
    """The clearest phrase among the rows that are left, by one statistic or several combined."""
    several = list(found.values())
    looked = np.ones(len(phrases), dtype=bool)
    for one in several:
        looked &= one.supports >= np.maximum(LEAST_ROWS, phrases.supports // 2)
        looked &= one.supports <= one.odds.count // 2
    number = int(np.argmin(np.where(looked, combined(several, looked), np.inf)))
    rows = phrases.rows_of(number)
    rows = rows[left[rows]]
    # the parts of a planted phrase must not count as phrases of clean data
    apart = looked & (phrases.means(np.isin(np.arange(len(left)), rows).astype(float)) < 0.5)
    p_value = float(combined(several, apart)[number]) if looked[number] else 1.0
    best = min(found, key=lambda name: found[name].p_values(apart)[number])
    return _Look(names=list(found), statistic=best, number=number, rows=rows, p_value=p_value)
