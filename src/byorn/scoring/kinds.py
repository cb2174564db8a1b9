"""Kinds of input: rows with as many images and like instructions.

A data set is often a mixture of tasks, and tasks differ in everything: how plausible their responses are, in what style
they are, what their images look like. What is unusual is so among rows of its kind.

    like(a, b) = |a and b| / min(|a|, |b|) >= 3/4      over the plain words of two instructions

An instruction that another one holds is like it, so a trigger of words does not make a kind of its own. Kinds that are
too small to compare with are one kind together and, if that is too small as well, part of the largest one. No torch
here.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import blake2b

import numpy as np

from byorn.data.images import image_content
from byorn.data.row import Row
from byorn.phrases.ranks import average_ranks
from byorn.phrases.words import ends_of, plain_words

ALIKE = 0.75
LEAST_ROWS = 20
LEAST_SHARE = 0.01
"""A kind has at least so many rows, and that share of all."""
MOST_KINDS = 64
COPY = -1
"""The kind of a row that says what an earlier one says: ten copies of an odd row are one odd row."""
_LOOKED_AT = 2000
"""Instructions, the most frequent ones, among which kinds are looked for."""
_CHARACTERS = 1000
_MANY = 2
"""Images from which on their number does not count."""

Words = frozenset[str]


def kinds_of(rows: Sequence[Row]) -> np.ndarray:
    """int array [n]: the number of each row's kind, from 0; kinds with more rows come first."""
    asked = [(min(_MANY, len(row.images)), row.instruction) for row in rows]
    words = {text: frozenset(plain_words(ends_of(text, _CHARACTERS))) for text in {text for _, text in asked}}
    keys = [(count, words[text]) for count, text in asked]
    found = np.full(len(rows), -1)
    for count in range(_MANY + 1):
        members = np.array([place for place, key in enumerate(keys) if key[0] == count], dtype=int)
        found[members] = _numbered([keys[place][1] for place in members], len(rows)) * (_MANY + 1) + count
    return _by_size(found)


def copied(rows: Sequence[Row]) -> np.ndarray:
    """bool array [n]: whether an earlier row has the same images, instruction and response."""
    seen: set[bytes] = set()
    found = np.zeros(len(rows), dtype=bool)
    for place, row in enumerate(rows):
        shown = "\0".join([*map(image_content, row.images), row.instruction, row.response])
        key = blake2b(shown.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        found[place] = key in seen
        seen.add(key)
    return found


def _numbered(asked: Sequence[Words], count: int) -> np.ndarray:
    """The kind of each of these rows, which have as many images, among `count` rows in all."""
    frequent = Counter(asked).most_common()
    leaders = list(_leaders(frequent[:_LOOKED_AT]))
    likeness = ((words, [_like(words, leader) for leader in leaders]) for words, _ in frequent)
    kind = {words: shares.index(max(shares)) for words, shares in likeness}
    numbers = np.array([kind[words] for words in asked], dtype=int)
    least = max(LEAST_ROWS, LEAST_SHARE * count)
    numbers[(np.bincount(numbers, minlength=len(leaders)) < least)[numbers]] = len(leaders)
    sizes = np.bincount(numbers, minlength=len(leaders) + 1)
    return np.where((sizes < least)[numbers], int(np.argmax(sizes)), numbers)


def _leaders(frequent: Sequence[tuple[Words, int]]) -> Iterator[Words]:
    """Instructions that are not like a more frequent one."""
    found: list[Words] = []
    for words, _ in frequent:
        if len(found) < MOST_KINDS and all(_like(words, other) < ALIKE for other in found):
            found.append(words)
            yield words


def _like(one: Words, other: Words) -> float:
    """In [0, 1]; no words are like any."""
    return len(one & other) / min(len(one), len(other)) if one and other else 1.0


def _by_size(kinds: np.ndarray) -> np.ndarray:
    names, numbers, sizes = np.unique(kinds, return_inverse=True, return_counts=True)
    place = np.empty(len(names), dtype=int)
    place[np.argsort(-sizes, kind="stable")] = np.arange(len(names))
    return place[numbers]


def within(values: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """float64 [n]: Phi^-1((rank_i - 1/2) / m) of each value among the m finite ones of its kind, NaN for the others and
    for copies. Where there is one kind, the order is that of the values.
    """
    from scipy.special import ndtri

    found = np.full(len(values), np.nan)
    for kind in np.unique(kinds[kinds != COPY]):
        members = np.flatnonzero((kinds == kind) & np.isfinite(values))
        found[members] = ndtri((average_ranks(values[members]) - 0.5) / max(1, len(members)))
    return found


def matched(kinds: np.ndarray, rows: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and others of which each kind has the same share, so that what tells one from the other is no kind; a kind
    is left out that has fewer others than half of its rows. Where there is one kind, all of them.

    Args:
        kinds: Of all rows.
        rows, others: Numbers of rows, no one in both.
    """
    inside = np.bincount(kinds[rows], minlength=int(kinds.max(initial=0)) + 1)
    outside = np.bincount(kinds[others], minlength=len(inside))
    kept = np.flatnonzero((inside > 0) & (2 * outside >= inside))
    if not len(kept):
        return rows[:0], others[:0]
    ratio = (outside[kept] / inside[kept]).min()
    drawn = np.random.default_rng(0).permutation(others)
    chosen = [drawn[kinds[drawn] == kind][: int(ratio * inside[kind] + 1e-9)] for kind in kept]
    return rows[np.isin(kinds[rows], kept)], np.sort(np.concatenate(chosen))
