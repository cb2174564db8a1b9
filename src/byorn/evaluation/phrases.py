"""Phrases that the flagged responses of a scan share far more than the others do.

Words are compared in lower case, without punctuation; a phrase is a run of 1 to 8 of them. Flagged and other rows are
cut into halves: phrases are found on one half, counted on the other, and tested there (Fisher's exact test, one side,
corrected by Holm for all that were found). A phrase counts as shared by a row once, however often it says it.

Blind to what has no words of its own: a response that is merely wrong, or whose words all the corpus uses.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from byorn.evaluation.comparisons import holm, more_often

Words = tuple[str, ...]

LONGEST = 8
"""Words of the longest phrase."""
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

# One letter is a word where a script writes without blanks
_WORD = re.compile(r"[぀-ヿ㐀-鿿가-힯]|[^\W_]+(?:['’][^\W_]+)*")


@dataclass(frozen=True)
class Phrase:
    """A phrase with its counts on the half that it was not found on.

    Attributes:
        text: Its words in lower case, joined by blanks.
        flagged, of_flagged: Flagged rows that say it, and flagged rows in all.
        others, of_others: The same of the rows that are not flagged.
        p_value: One-sided Fisher test of the two shares, corrected by Holm.
    """

    text: str
    flagged: int
    of_flagged: int
    others: int
    of_others: int
    p_value: float

    @property
    def words(self) -> Words:
        return tuple(self.text.split(" "))


def words_of(text: str) -> Words:
    """The words of a text as phrases are compared: NFKC, lower case, no punctuation, nothing invisible."""
    plain = "".join(letter for letter in unicodedata.normalize("NFKC", text) if unicodedata.category(letter) != "Cf")
    return tuple(_WORD.findall(plain.casefold()))


def says(text: str, phrase: Words) -> bool:
    """Whether a text holds the phrase, word by word."""
    return bool(phrase) and _holds(words_of(text), phrase)


def find_phrases(flagged: Sequence[str], others: Sequence[str], seed: int = 0) -> list[Phrase]:
    """The phrases that flagged responses share and other ones lack, strongest first; none is a common answer.

    Args:
        flagged: Responses of the flagged rows.
        others: Responses of the rest.
        seed: Of the halves.
    """
    found_on, counted_on = _halves([words_of(text) for text in flagged], seed)
    rest, rest_counted = _halves([words_of(text) for text in others], seed)
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
    rows_of: dict[Words, list[int]] = defaultdict(list)
    for number, words in enumerate(flagged):
        for phrase in set(_runs(words)):
            rows_of[phrase].append(number)
    frequent = {phrase: rows for phrase, rows in rows_of.items() if len(rows) >= FEWEST}
    elsewhere = Counter(phrase for words in others for phrase in set(_runs(words)) if phrase in frequent)
    longest: dict[tuple[int, ...], Words] = {}
    for phrase in sorted(frequent, key=lambda phrase: (-len(phrase), phrase)):
        if _rare(len(frequent[phrase]), len(flagged), elsewhere[phrase], len(others)):
            longest.setdefault(tuple(frequent[phrase]), phrase)
    ranked = sorted(
        longest.values(),
        key=lambda phrase: more_often(len(frequent[phrase]), len(flagged), elsewhere[phrase], len(others)),
    )
    kept: list[Words] = []
    for phrase in ranked:  # what only adds words to a stronger one would cost power and tell nothing new
        if not any(_holds(phrase, stronger) for stronger in kept):
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
    hits = sum(_holds(words, phrase) for words in flagged)
    elsewhere = sum(_holds(words, phrase) for words in others)
    p_value = more_often(hits, len(flagged), elsewhere, len(others))
    return Phrase(" ".join(phrase), hits, len(flagged), elsewhere, len(others), p_value)


def _holds(words: Words, phrase: Words) -> bool:
    size = len(phrase)
    return any(words[start : start + size] == phrase for start in range(len(words) - size + 1))
