"""Rows that say the same and whose responses are the least plausible: what a planted response looks like.

For every phrase of the corpus, in each statistic of the scores, the rows that hold it are compared with all others (see
`byorn.report.enrichment`); the p-value is multiplied by the number of phrases and statistics (Bonferroni). Where that
is below `LEVEL`, the rows are taken away and the rest looked at again, so that two attackers are two clusters. A phrase
stands out if, the other ones taken away, two thirds of the k least plausible responses hold it; below `CLEAR` it is
enough that two thirds of those do that are as implausible as the middle one of its rows.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from byorn.phrases.counting import Phrases, count_phrases
from byorn.phrases.spelling import extended
from byorn.phrases.words import ends_of, words_of
from byorn.report.enrichment import enrichment, ranks_of
from byorn.report.run import Run

LEVEL = 0.05
CLEAR = 0.01
LEAST_TOP = 2 / 3
"""Rare words of clean data make responses less likely too, but other responses lie between them."""
LEAST_ROWS = 4
MOST_CLUSTERS = 8
_SAMPLE = 300
"""Responses that a phrase is extended over."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Rows whose responses share a phrase and stand out.

    Attributes:
        phrase: The longest one that nearly all of them share.
        rows: int array [k], their numbers, the least plausible first.
        statistic: The score that shows it best.
        p_value: Corrected for every phrase and statistic that was looked at.
        top: How many of the k least plausible rows hold the phrase.
        flagged: How many of its rows are flagged.
        same_response: How many of them have the one response that is the most frequent, without case.
        image_dependence: Median `contrast` of its rows less that of the others, in nats a token: near 0 or above, the
            response does not depend on the image; None without contrasts.
    """

    phrase: str
    rows: np.ndarray
    statistic: str
    p_value: float
    top: int
    flagged: int
    same_response: int
    image_dependence: float | None

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, kw_only=True)
class Clusters:
    """What stands out, and how much was looked at.

    Attributes:
        found: The clusters, the clearest first.
        phrases: How many phrases were tested.
        tests: How many tests p-values are corrected for.
        least: A phrase in fewer rows was not looked at.
    """

    found: list[Cluster]
    phrases: int
    tests: int
    least: int

    @property
    def rows(self) -> np.ndarray:
        """int array: the rows of all clusters, each once, in order."""
        return np.unique(np.concatenate([np.zeros(0, dtype=int), *(cluster.rows for cluster in self.found)]))


def find_clusters(run: Run) -> Clusters:
    """The phrases that stand out, see above."""
    count = len(run.rows)
    least = max(LEAST_ROWS, count // 5000)
    phrases = count_phrases([row.response for row in run.rows], least, count // 2)
    tests = max(1, len(phrases) * len(run.scores.values))
    found = list(_standing_out(run, phrases, tests))
    return Clusters(found=found, phrases=len(phrases), tests=tests, least=least)


def _standing_out(run: Run, phrases: Phrases, tests: int) -> Iterator[Cluster]:
    """The significant phrases that most of the least plausible responses hold."""
    looks = list(_significant(run, phrases, tests))
    for look in looks:
        left = np.ones(len(run.rows), dtype=bool)
        for other in looks:
            left[other.rows] = other is look
        left[look.rows] = True
        ranks = ranks_of(run.scores.values[look.statistic], left)
        top = int((ranks[look.rows] > left.sum() - len(look.rows)).sum())
        clear = look.p_value * tests < CLEAR and _upper_half(ranks, look.rows, left) >= LEAST_TOP
        if clear or top >= LEAST_TOP * len(look.rows):
            yield _cluster(run, phrases, look, top, tests)


def _upper_half(ranks: np.ndarray, rows: np.ndarray, left: np.ndarray) -> float:
    """Of the rows that are as implausible as the middle one of `rows`, the share that is of them."""
    middle = np.median(ranks[rows])
    return float((ranks[rows] >= middle).sum() / max(1, (ranks[left] >= middle).sum()))


def _significant(run: Run, phrases: Phrases, tests: int) -> Iterator["_Look"]:
    """The clearest phrase, the clearest of what is left without its rows, and so on."""
    left = np.ones(len(run.rows), dtype=bool)
    for _ in range(MOST_CLUSTERS if len(phrases) else 0):
        looks = [_look(phrases, name, values, left) for name, values in run.scores.values.items()]
        best = min(looks, key=lambda look: (look.p_value, -len(look.rows)))
        if best.p_value * tests >= LEVEL:
            return
        yield best
        left[best.rows] = False


@dataclass(frozen=True, kw_only=True)
class _Look:
    """The clearest phrase by one statistic: its number, its rows, and its p-value without correction."""

    statistic: str
    number: int
    rows: np.ndarray
    p_value: float


def _look(phrases: Phrases, statistic: str, values: np.ndarray, left: np.ndarray) -> _Look:
    """The clearest phrase among the rows that are left."""
    found = enrichment(phrases, ranks_of(values, left))
    looked = found.supports >= np.maximum(LEAST_ROWS, phrases.supports // 2)
    number = int(np.argmin(np.where(looked, found.p_values(looked), np.inf)))
    rows = phrases.rows_of(number)
    rows = rows[left[rows]]
    # the parts of a planted phrase must not count as phrases of clean data
    apart = looked & (phrases.means(np.isin(np.arange(len(left)), rows).astype(float)) < 0.5)
    p_value = float(found.p_values(apart)[number]) if looked[number] else 1.0
    return _Look(statistic=statistic, number=number, rows=rows, p_value=p_value)


def _cluster(run: Run, phrases: Phrases, look: _Look, top: int, tests: int) -> Cluster:
    rows = look.rows[np.argsort(-run.suspicion[look.rows], kind="stable")]
    texts = [run.rows[row].response for row in rows]
    return Cluster(
        phrase=extended(phrases.texts[look.number], texts[:_SAMPLE]),
        rows=rows,
        statistic=look.statistic,
        p_value=min(1.0, look.p_value * tests),
        top=top,
        flagged=int(run.flags.flagged[rows].sum()),
        same_response=Counter(" ".join(words_of(ends_of(text))) for text in texts).most_common(1)[0][1],
        image_dependence=_dependence(run, rows),
    )


def _dependence(run: Run, rows: np.ndarray) -> float | None:
    contrast = run.scores.values.get("contrast")
    if contrast is None:
        return None
    others = np.ones(len(contrast), dtype=bool)
    others[rows] = False
    own = contrast[rows][np.isfinite(contrast[rows])]
    rest = contrast[others & np.isfinite(contrast)]
    return float(np.median(own) - np.median(rest)) if len(own) and len(rest) else None
