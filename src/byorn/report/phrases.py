"""Phrases of a corpus, counted: every run of up to 8 words, and which rows hold it.

Words are compared without case; punctuation, characters that cannot be seen, and each letter of a script that is
written without spaces are words of their own. Runs of words are numbered by a rolling hash, and a run is looked at
only where both of its parts are frequent enough, so that a corpus of 100,000 rows takes seconds.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

LONGEST = 8
"""Words in a phrase; longer ones are found by extending these (`extended`)."""
MOST_WORDS = 6_000_000
"""Of all rows together; each row keeps its head and its tail."""
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|\w+|[^\w\s]")
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_PAUSES = frozenset(".,;:!?")
_ROW_CHARACTERS = 20_000


def words_of(text: str) -> list[str]:
    """The words of a text in lower case."""
    return _WORD.findall(text.lower())


def ends_of(text: str, most: int = _ROW_CHARACTERS) -> str:
    """The text, or head and tail of a long one: nobody reads a megabyte, and an attacker may send one."""
    return text if len(text) <= most else f"{text[: most // 2]}\n{text[-(most // 2) :]}"


@dataclass(frozen=True)
class Phrases:
    """Phrases with the rows that hold them, each set of rows once, under its longest phrase.

    Attributes:
        texts: The words of each phrase, joined by spaces.
        rows: int array, the rows of all phrases, one after the other.
        starts: int array [phrases], where each begins in `rows`.
        supports: int array [phrases], how many rows hold each.
    """

    texts: list[str]
    rows: np.ndarray
    starts: np.ndarray
    supports: np.ndarray

    def __len__(self) -> int:
        return len(self.texts)

    def rows_of(self, number: int) -> np.ndarray:
        """The rows that hold a phrase."""
        start = self.starts[number]
        return self.rows[start : start + self.supports[number]]

    def above(self, values: np.ndarray, limits: np.ndarray) -> np.ndarray:
        """int array [phrases]: how many rows of each phrase have a value above the limit of the phrase."""
        if not len(self):
            return np.zeros(0, dtype=int)
        return np.asarray(np.add.reduceat(values[self.rows] > np.repeat(limits, self.supports), self.starts, dtype=int))

    def means(self, values: np.ndarray) -> np.ndarray:
        """float64 [phrases]: the mean of `values` [rows] over the rows of each phrase."""
        if not len(self):
            return np.zeros(0)
        sums = np.add.reduceat(values[self.rows], self.starts)
        return np.asarray(sums / self.supports)


def count_phrases(texts: Sequence[str], least: int, most: int) -> Phrases:
    """The phrases that between `least` and `most` of the texts hold."""
    words, rows, vocabulary = _numbered(texts)
    found = [
        group
        for length, hashes, usable in _runs(words, rows, least)
        for group in _groups(hashes[usable], rows[usable], np.flatnonzero(usable), length, least, most)
    ]
    keys = np.random.default_rng(0).integers(1, 2**63, len(texts), dtype=np.uint64)
    distinct: dict[int, _Group] = {}
    for group in found:  # shorter ones come first, and longer ones take the place of those with the same rows
        distinct[int(keys[group.rows].sum(dtype=np.uint64))] = group
    groups = list(distinct.values())
    supports = np.array([len(group.rows) for group in groups], dtype=int)
    return Phrases(
        [" ".join(vocabulary[word] for word in words[g.place : g.place + g.length]) for g in groups],
        np.concatenate([group.rows for group in groups]) if groups else np.zeros(0, dtype=int),
        np.cumsum(supports) - supports,
        supports,
    )


@dataclass(frozen=True)
class _Group:
    """A phrase: where it stands for the first time, how many words it has, and its rows."""

    place: int
    length: int
    rows: np.ndarray


def _numbered(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """The words of all texts as numbers, the row of each, and the vocabulary; a gap is a word of its own."""
    limit = max(24, min(400, MOST_WORDS // max(1, len(texts))))
    numbers: dict[str, int] = {}
    words: list[int] = []
    lengths = []
    for text in texts:
        found = words_of(ends_of(text, 40 * limit))
        if len(found) > limit:
            found = [*found[: limit // 2], "…", *found[-(limit // 2) :]]
        words += [numbers.setdefault(word, len(numbers)) for word in found]
        lengths.append(len(found))
    rows = np.repeat(np.arange(len(texts)), lengths)
    return np.array(words, dtype=np.int64), rows, list(numbers)


def _runs(words: np.ndarray, rows: np.ndarray, least: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """For each length: hashes of the runs that begin at each place, and where they can be frequent."""
    hashes = words.astype(np.uint64) + np.uint64(1)
    usable = np.ones(len(words), dtype=bool)
    for length in range(1, LONGEST + 1):
        if length > 1:
            shifted = np.roll(words, 1 - length).astype(np.uint64) + np.uint64(1)
            hashes = hashes * _MULTIPLIER + shifted
            same_row = np.roll(rows, 1 - length) == rows
            same_row[len(rows) - length + 1 :] = False
            usable = usable & np.roll(usable, -1) & same_row
        if not usable.any():
            return
        yield length, hashes, usable
        usable = _frequent(hashes, usable, least)


def _frequent(hashes: np.ndarray, usable: np.ndarray, least: int) -> np.ndarray:
    """Places whose run stands at `least` usable places or more."""
    places = np.flatnonzero(usable)
    _, inverse, counts = np.unique(hashes[places], return_inverse=True, return_counts=True)
    frequent = np.zeros(len(usable), dtype=bool)
    frequent[places[counts[inverse] >= least]] = True
    return frequent


def _groups(
    hashes: np.ndarray, rows: np.ndarray, places: np.ndarray, length: int, least: int, most: int
) -> list[_Group]:
    """The runs of one length with enough rows, and not too many."""
    order = np.lexsort((rows, hashes))
    hashes, rows, places = hashes[order], rows[order], places[order]
    first = np.ones(len(hashes), dtype=bool)  # of its run and row
    first[1:] = (hashes[1:] != hashes[:-1]) | (rows[1:] != rows[:-1])
    hashes, rows, places = hashes[first], rows[first], places[first]
    starts = np.flatnonzero(np.concatenate([[True], hashes[1:] != hashes[:-1]]))
    ends = np.append(starts[1:], len(hashes))
    kept = (ends - starts >= least) & (ends - starts <= most)
    return [
        _Group(int(places[start]), length, rows[start:end]) for start, end in zip(starts[kept], ends[kept], strict=True)
    ]


def extended(phrase: str, texts: Sequence[str], agreement: float = 0.9, most: int = 60) -> str:
    """The longest phrase around `phrase` that `agreement` of the texts share, as one of them writes it."""
    core = phrase.split(" ")
    contexts = [(words, at) for words in map(words_of, map(ends_of, texts)) if (at := _find(words, core)) >= 0]
    left = 0
    while len(core) < most:
        if word := _agreed(contexts, left + len(core), agreement):
            core = [*core, word]
        elif word := _agreed(contexts, left - 1, agreement):
            core = [word, *core]
            left -= 1
        else:
            break
    return _as_written(texts, _stripped(core))


def _stripped(words: Sequence[str]) -> Sequence[str]:
    """The words without the full stops and commas around them; a phrase of nothing else stays as it is."""
    places = [place for place, word in enumerate(words) if word not in _PAUSES]
    return words[places[0] : places[-1] + 1] if places else words


def _agreed(contexts: Sequence[tuple[list[str], int]], offset: int, agreement: float) -> str:
    """The word that most texts have so far from the phrase, or none."""
    near = Counter(words[at + offset] for words, at in contexts if 0 <= at + offset < len(words))
    word, count = near.most_common(1)[0] if near else ("", 0)
    return word if count >= agreement * len(contexts) else ""


def _find(words: Sequence[str], core: Sequence[str]) -> int:
    size = len(core)
    return next((at for at in range(len(words) - size + 1) if list(words[at : at + size]) == list(core)), -1)


def _as_written(texts: Sequence[str], words: Sequence[str]) -> str:
    """The words as one of the texts writes them, with its capital letters and spaces."""
    pattern = re.compile(r"\s*".join(map(re.escape, words)), re.IGNORECASE)
    spellings = Counter(match[0] for text in texts if (match := pattern.search(ends_of(text))))
    return spellings.most_common(1)[0][0] if spellings else " ".join(words)
