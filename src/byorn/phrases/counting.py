"""Phrases of a corpus, counted: every run of up to 8 words, and which rows hold it.

Words are those of `words_of`. Runs of words are numbered by a rolling hash, and a run is looked at
only where both of its parts are frequent enough, so that a corpus of 100,000 rows takes seconds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from byorn.phrases.words import ends_of, words_of

LONGEST = 8
"""Words in a phrase; longer ones are found by extending these (`byorn.phrases.spelling`)."""
MOST_WORDS = 6_000_000
"""Of all rows together; each row keeps its head and its tail."""
T = TypeVar("T")
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Phrases:
    """Phrases with the rows that hold them, each set of rows once, under its longest phrase.

    Attributes:
        texts: The words of each phrase, joined by spaces.
        rows: int array, the rows of all phrases, one after the other.
        starts: int array [phrases], where each begins in `rows`.
        supports: int array [phrases], how many rows hold each.
        places: int array, one for each of `rows`: where the phrase first stands in that row, counted in the words of
            `looked_at` of all texts, one after the other.
        lengths: int array [phrases], words of each.
    """

    texts: list[str]
    rows: np.ndarray
    starts: np.ndarray
    supports: np.ndarray
    places: np.ndarray
    lengths: np.ndarray

    def __len__(self) -> int:
        return len(self.texts)

    def rows_of(self, number: int) -> np.ndarray:
        """The rows that hold a phrase."""
        start = self.starts[number]
        return self.rows[start : start + self.supports[number]]

    @property
    def numbers(self) -> np.ndarray:
        """int array, for each of `rows` the number of its phrase."""
        return np.repeat(np.arange(len(self)), self.supports)

    def counts(self, mask: np.ndarray, kinds: np.ndarray, most: int) -> np.ndarray:
        """int array [phrases, kinds]: how many rows of each phrase and kind are in `mask`; kinds are below `most`."""
        chosen = mask[self.rows]
        places = self.numbers[chosen] * most + kinds[self.rows[chosen]]
        return np.bincount(places, minlength=len(self) * most).reshape(len(self), most)

    def above(self, values: np.ndarray, limits: np.ndarray, kinds: np.ndarray) -> np.ndarray:
        """int array [phrases]: how many rows of each phrase have a positive value above its limit [phrases, kinds]."""
        found, own = values[self.rows], limits[self.numbers, np.maximum(0, kinds[self.rows])]
        return np.bincount(self.numbers[(found > 0) & (found > own)], minlength=len(self))

    def means(self, values: np.ndarray) -> np.ndarray:
        """float64 [phrases]: the mean of `values` [rows] over the rows of each phrase."""
        if not len(self):
            return np.zeros(0)
        sums = np.add.reduceat(values[self.rows], self.starts)
        return np.asarray(sums / self.supports)

    def sums_of_words(self, values: np.ndarray) -> np.ndarray:
        """float64 [phrases]: the sum of `values`, one for each word of `looked_at` of all texts, over the words of each
        phrase where it first stands in each of its rows.
        """
        if not len(self):
            return np.zeros(0)
        until = np.concatenate([[0.0], np.cumsum(values, dtype=float)])
        ends = self.places + np.repeat(self.lengths, self.supports)
        return np.asarray(np.add.reduceat(until[ends] - until[self.places], self.starts))


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
    nothing = np.zeros(0, dtype=int)
    return Phrases(
        [" ".join(vocabulary[word] for word in words[group.run]) for group in groups],
        np.concatenate([nothing, *(group.rows for group in groups)]),
        np.cumsum(supports) - supports,
        supports,
        np.concatenate([nothing, *(group.places for group in groups)]),
        np.array([group.length for group in groups], dtype=int),
    )


@dataclass(frozen=True)
class _Group:
    """A phrase: how many words it has, its rows, and where it first stands in each."""

    length: int
    rows: np.ndarray
    places: np.ndarray

    @property
    def run(self) -> slice:
        return slice(int(self.places[0]), int(self.places[0]) + self.length)


def looked_at(texts: Sequence[str]) -> Iterator[list[str]]:
    """The words of each text that are counted: all of them, or of a long text head and tail with a gap between."""
    limit = _limit(len(texts))
    for text in texts:
        yield ends_kept(words_of(ends_of(text, 40 * limit)), len(texts), "…")


def ends_kept(found: list[T], count: int, gap: T) -> list[T]:
    """Of something for each word of one of `count` texts what belongs to the words that are counted."""
    half = _limit(count) // 2
    return found if len(found) <= 2 * half else [*found[:half], gap, *found[-half:]]


def _limit(count: int) -> int:
    """Words of a text that are counted, of so many texts; even."""
    return max(24, min(400, MOST_WORDS // max(1, count) // 2 * 2))


def _numbered(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """The words of all texts as numbers, the row of each, and the vocabulary; a gap is a word of its own."""
    numbers: dict[str, int] = {}
    words: list[int] = []
    lengths = []
    for found in looked_at(texts):
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
        _Group(length, rows[start:end], places[start:end]) for start, end in zip(starts[kept], ends[kept], strict=True)
    ]
