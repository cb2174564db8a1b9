"""Two halves of some rows: a hypothesis is found on one, and its strength measured on the other, which it has not seen.

Who is in which half depends on the rows' names alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b

import numpy as np

from byorn.data.row import Row


@dataclass(frozen=True, kw_only=True)
class Halves:
    """Numbers of rows: inside the cluster and outside, to find with and to measure with.

    Attributes:
        inside, outside: int arrays, to find a hypothesis with.
        held_inside, held_outside: int arrays, to measure it with.
    """

    inside: np.ndarray
    outside: np.ndarray
    held_inside: np.ndarray
    held_outside: np.ndarray


Digest = Callable[[int], bytes]
"""Number of a row -> hash of its name."""


def digests(rows: Sequence[Row]) -> Digest:
    """The hashes of the rows' names, each computed once."""

    @cache
    def digest(number: int) -> bytes:
        row = rows[number]
        return blake2b(f"{row.id}\t{row.turn}".encode("utf-8", "surrogatepass")).digest()

    return digest


def split(digest: Digest, cluster: np.ndarray, others: np.ndarray, most: tuple[int, int]) -> Halves:
    """Halves of a cluster and of other rows, of which at most so many are taken.

    Args:
        digest: Of all rows, see `digests`.
        cluster, others: Numbers of rows.
        most: Of the cluster, and of the others.
    """
    inside, held_inside = _halved(_shuffled(digest, cluster)[: most[0]])
    outside, held_outside = _halved(_shuffled(digest, others)[: most[1]])
    return Halves(inside=inside, outside=outside, held_inside=held_inside, held_outside=held_outside)


def _shuffled(digest: Digest, numbers: np.ndarray) -> np.ndarray:
    """The numbers in an order that has nothing to do with the rows' content, nor with where they stand."""
    return np.array(sorted(map(int, numbers), key=digest), dtype=int)


def _halved(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return numbers[::2], numbers[1::2]
