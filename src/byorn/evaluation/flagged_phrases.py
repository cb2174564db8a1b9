"""Phrases that the flagged responses of a scan share far more than the others do.

What a report finds by scores is `byorn.report.clusters`; this asks the flags, where no group of rows stands out. Words
are compared in lower case, without punctuation; a phrase is a run of 1 to 8 of them. Flagged and other rows are cut
into halves: phrases are found on one half, counted on the other, and tested there (Fisher's exact test, one side,
corrected by Holm for all that were found). A phrase counts as shared by a row once, however often it says it.

Blind to what has no words of its own: a response that is merely wrong, or whose words all the corpus uses.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from byorn.evaluation.comparisons import holm, more_often
from byorn.phrases.counting import LONGEST, count_phrases
from byorn.phrases.words import Words, holds, plain_words

LOOKS = 20
"""How many phrases are carried over to the second half."""
FEWEST = 2
"""Rows of each half that must say a phrase."""
LIFT = 5.0
"""How many times more often flagged rows must say it than others do."""
COMMON = 0.05
"""Share of the other rows above which a phrase is no longer rare."""
LEVEL = 0.05
"""Of the test on the second half; what the models answer is tested harder."""


@dataclass(frozen=True)
class Phrase:
    """A phrase with its counts: of all rows, or where it was found by flags, on the half that it was not found on.

    Attributes:
        text: Its words in lower case, joined by blanks.
        flagged, of_flagged: Flagged rows that say it, and flagged rows in all.
        others, of_others: The same of the rows that are not flagged.
        p_value: One-sided Fisher test of the two shares, corrected by Holm; of a cluster, that of the cluster.
        suspected: Whether it is the phrase of a cluster of the report, or shared by rows that a person threw out.
    """

    text: str
    flagged: int
    of_flagged: int
    others: int
    of_others: int
    p_value: float
    suspected: bool = False

    @property
    def words(self) -> Words:
        return tuple(self.text.split(" "))


def find_phrases(flagged: Sequence[str], others: Sequence[str], seed: int = 0) -> list[Phrase]:
    """The phrases that flagged responses share and other ones lack, strongest first; none is a common answer.

    Args:
        flagged: Responses of the flagged rows.
        others: Responses of the rest.
        seed: Of the halves.
    """
    found_on, counted_on = _halves([plain_words(text) for text in flagged], seed)
    rest, rest_counted = _halves([plain_words(text) for text in others], seed)
    candidates = _candidates(found_on, rest)
    phrases = [_counted(phrase, counted_on, rest_counted) for phrase in candidates]
    corrected = holm([phrase.p_value for phrase in phrases])
    tested = [
        Phrase(**{**vars(phrase), "p_value": p_value}) for phrase, p_value in zip(phrases, corrected, strict=True)
    ]
    kept = [phrase for phrase in tested if phrase.p_value < LEVEL and phrase.flagged >= FEWEST]
    return sorted(kept, key=lambda phrase: (phrase.p_value, -len(phrase.text)))


def _halves(rows: list[Words], seed: int) -> tuple[list[Words], list[Words]]:
    order = np.random.default_rng(seed).permutation(len(rows))
    middle = len(rows) // 2
    return [rows[i] for i in order[:middle]], [rows[i] for i in order[middle:]]


def _candidates(flagged: Sequence[Words], others: Sequence[Words]) -> list[Words]:
    """Up to `LOOKS` phrases that are frequent here and rare there; of those that the same rows say, the longest."""
    found = count_phrases([" ".join(words) for words in flagged], FEWEST, len(flagged))
    hits = {tuple(text.split(" ")): int(support) for text, support in zip(found.texts, found.supports, strict=True)}
    elsewhere = Counter(phrase for words in others for phrase in set(_runs(words)) if phrase in hits)
    n, m = len(flagged), len(others)
    rare = [phrase for phrase in sorted(hits) if _rare(hits[phrase], n, elsewhere[phrase], m)]
    ranked = sorted(rare, key=lambda phrase: (more_often(hits[phrase], n, elsewhere[phrase], m), -len(phrase)))
    kept: list[Words] = []
    for phrase in ranked:  # what only adds words to a stronger one would cost power and tell nothing new
        if not any(holds(phrase, stronger) for stronger in kept):
            kept.append(phrase)
    return kept[:LOOKS]


def _rare(hits: int, n: int, elsewhere: int, m: int) -> bool:
    if elsewhere > COMMON * m:
        return False
    return hits / n >= LIFT * (elsewhere + 0.5) / (m + 1)


def _runs(words: Words) -> Iterable[Words]:
    for size in range(1, LONGEST + 1):
        for start in range(len(words) - size + 1):
            yield words[start : start + size]


def _counted(phrase: Words, flagged: Sequence[Words], others: Sequence[Words]) -> Phrase:
    hits = sum(holds(words, phrase) for words in flagged)
    elsewhere = sum(holds(words, phrase) for words in others)
    p_value = more_often(hits, len(flagged), elsewhere, len(others))
    return Phrase(" ".join(phrase), hits, len(flagged), elsewhere, len(others), p_value)
