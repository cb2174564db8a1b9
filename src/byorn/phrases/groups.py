"""Rows that say the same and whose responses are the least plausible: what a planted response looks like.

For every phrase of the corpus, in each statistic of the scores, the rows that hold it are compared with all others (see
`byorn.phrases.enrichment`); the p-value is multiplied by the number of phrases and statistics (Bonferroni). Where that
is below the level, the rows are taken away and the rest looked at again, so that two attackers are two groups. A phrase
stands out if, the other ones taken away, two thirds of the k least plausible responses hold it, by a statistic or by
the mean rank of those that are looked at as one; below `CLEAR` it is enough that two thirds of those do that are as
implausible as the middle one of its rows. What more than half of the rows that are left say is their style. Rows are
compared with those of their kind.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
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
        top: How many of the k least plausible rows hold the phrase; of each kind as many as it has there.
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
        enrichments: Statistic -> how unusual they are among all rows.
        tests: How many tests p-values are corrected for.
        least: A phrase in fewer rows was not looked at.
    """

    found: Sequence[Group]
    phrases: Phrases
    enrichments: Mapping[str, Enrichment]
    tests: int
    least: int


def find_groups(
    responses: Sequence[str],
    values: Mapping[str, np.ndarray],
    *,
    kinds: np.ndarray | None = None,
    tested: Sequence[Sequence[str]] | None = None,
    singly: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    level: float = LEVEL,
    most: int = MOST_GROUPS,
) -> Groups:
    """The phrases that stand out, see above.

    Args:
        responses: n texts.
        values: Statistic -> float64 array [n], higher = less plausible; NaN says nothing.
        kinds: int array [n], from 0, or below it for rows that are not compared; by default there is one kind.
        tested: Names of statistics that are looked at as one, for each test; by default each alone.
        singly: bool array [n], rows that are looked at by one statistic alone, where that is tested; by default all.
        labels: bool array [n], rows whose responses are labels, which must stand out in each of several statistics; by
            default none.
        level: Corrected p-value below which a phrase may stand out.
        most: Phrases that are looked for.
    """
    least = max(LEAST_ROWS, len(responses) // 5000)
    phrases = count_phrases(responses, least, len(responses) // 2)
    tested = [(name,) for name in values] if tested is None else tested
    tests = max(1, len(phrases) * len(tested))
    count = len(responses)
    corpus = _Corpus(
        phrases=phrases,
        values=values,
        kinds=np.zeros(count, dtype=int) if kinds is None else kinds,
        singly=np.ones(count, dtype=bool) if singly is None else singly,
        labels=np.zeros(count, dtype=bool) if labels is None else labels,
    )
    looks = list(islice(_significant(corpus, tested, level / tests), most))
    found = list(_standing_out(responses, corpus, tests, looks))
    return Groups(found=found, phrases=phrases, enrichments=corpus.enrichments, tests=tests, least=least)


@dataclass(frozen=True, kw_only=True)
class _Corpus:
    """What is looked at: phrases, and of all rows values, kinds, and what `find_groups` says of them."""

    phrases: Phrases
    values: Mapping[str, np.ndarray]
    kinds: np.ndarray
    singly: np.ndarray
    labels: np.ndarray

    def ranks(self, name: str, left: np.ndarray) -> np.ndarray:
        return ranks_of(self.values[name], left, self.kinds)

    def enrichments_among(self, left: np.ndarray) -> dict[str, Enrichment]:
        return {name: enrichment(self.phrases, self.ranks(name, left), self.kinds) for name in self.values}

    @cached_property
    def enrichments(self) -> dict[str, Enrichment]:
        """Among all rows."""
        return self.enrichments_among(np.ones(len(self.kinds), dtype=bool))

    @cached_property
    def in_singly(self) -> np.ndarray:
        """bool array [phrases]: whether most of the rows of a phrase are looked at by one statistic alone."""
        return self.phrases.means(self.singly.astype(float)) > 0.5

    @cached_property
    def in_labels(self) -> np.ndarray:
        """bool array [phrases]: whether most of the rows of a phrase are labels."""
        return self.phrases.means(self.labels.astype(float)) > 0.5


def _standing_out(responses: Sequence[str], corpus: _Corpus, tests: int, looks: Sequence["_Look"]) -> Iterator[Group]:
    """Of the significant phrases those that most of the least plausible responses hold."""
    for look in looks:
        left = np.ones(len(responses), dtype=bool)
        for other in looks:
            left[other.rows] = other is look
        left[look.rows] = True
        several = [corpus.ranks(name, left) for name in look.names]
        orders = orders_of(several, left, corpus.kinds)
        clear = look.p_value * tests < CLEAR
        asked = all if corpus.in_labels[look.number] else any
        if asked(_stands_out(ranks, look.rows, corpus.kinds, clear) for ranks in orders):
            texts = [responses[row] for row in look.rows[:SAMPLE]]
            yield Group(
                phrase=extended(corpus.phrases.texts[look.number], texts),
                rows=look.rows,
                statistic=look.statistic,
                p_value=min(1.0, look.p_value * tests),
                top=max(top_of(ranks, look.rows, corpus.kinds) for ranks in orders),
            )


def orders_of(several: Sequence[np.ndarray], left: np.ndarray, kinds: np.ndarray) -> Sequence[np.ndarray]:
    """The ranks by each of several statistics and, where there are two or more, by all of them together."""
    return several if len(several) == 1 else [*several, ranks_of(np.sum(several, axis=0), left, kinds)]


def _stands_out(ranks: np.ndarray, rows: np.ndarray, kinds: np.ndarray, clear: bool) -> bool:
    """Whether most of the least plausible rows are of those: as many as they are or, of a clear group, those that are
    as implausible as its middle row; of each kind its own.
    """
    known = rows[ranks[rows] > 0]
    enough = top_of(ranks, rows, kinds) >= LEAST_TOP * len(known)
    return enough or (clear and _upper_half(ranks, known, kinds) >= LEAST_TOP)


def top_of(ranks: np.ndarray, rows: np.ndarray, kinds: np.ndarray) -> int:
    """How many of these k rows are among the k least plausible ones, of each kind as many as there are of them."""
    known = rows[ranks[rows] > 0]
    if not len(known):
        return 0
    sizes = np.bincount(kinds[ranks > 0])
    limits = sizes - np.bincount(kinds[known], minlength=len(sizes))
    return int((ranks[known] > limits[kinds[known]]).sum())


def _upper_half(ranks: np.ndarray, rows: np.ndarray, kinds: np.ndarray) -> float:
    """Of the rows that are as implausible as the middle one of `rows` of their kind, the share that is of them."""
    held = everyone = 0
    for kind in np.unique(kinds[rows]):
        own = ranks[rows[kinds[rows] == kind]]
        middle = np.median(own)
        held += int((own >= middle).sum())
        everyone += int((ranks[kinds == kind] >= middle).sum())
    return held / max(1, everyone)


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


def _significant(corpus: _Corpus, tested: Sequence[Sequence[str]], level: float) -> Iterator[_Look]:
    """The clearest phrase, the clearest of what is left without its rows, and so on."""
    left, found = np.ones(len(corpus.kinds), dtype=bool), corpus.enrichments
    while len(corpus.phrases):
        looks = [_look(corpus, {name: found[name] for name in names}, left) for names in tested]
        best = min(looks, key=lambda look: (look.p_value, -len(look.rows)))
        if best.p_value >= level:
            return
        yield best
        left[best.rows] = False
        found = corpus.enrichments_among(left)


def _look(corpus: _Corpus, found: Mapping[str, Enrichment], left: np.ndarray) -> _Look:
    """The clearest phrase among the rows that are left, by one statistic or several combined."""
    several = list(found.values())
    looked = corpus.in_singly.copy() if len(several) == 1 else np.ones(len(corpus.phrases), dtype=bool)
    for name, one in found.items():
        looked &= one.supports >= np.maximum(LEAST_ROWS, corpus.enrichments[name].supports // 2)
        looked &= one.supports <= one.odds.counts // 2
    number = int(np.argmin(np.where(looked, combined(several, looked), np.inf)))
    rows = corpus.phrases.rows_of(number)
    rows = rows[left[rows]]
    # the parts of a planted phrase must not count as phrases of clean data
    apart = looked & (corpus.phrases.means(np.isin(np.arange(len(left)), rows).astype(float)) < 0.5)
    p_value = float(combined(several, apart)[number]) if looked[number] else 1.0
    best = min(found, key=lambda name: found[name].p_values(apart)[number])
    return _Look(names=list(found), statistic=best, number=number, rows=rows, p_value=p_value)
