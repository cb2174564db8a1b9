"""Two folds of a data set, such that a model adapted to one has seen nothing of the other.

Rows with an equal image or an equal response (of `LEAST_WORDS` words or more) are in one fold: else the score of a row
would be that of a model that has learned it. Short answers are shared by rows that have nothing else in common, and
divide as their images do; so does a set of equal rows that is too large for a fold. No torch here.
"""

from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b

import numpy as np

from byorn.data.images import image_content
from byorn.data.row import Row

LEAST_WORDS = 4
LARGEST = 0.4
"""Share of the rows from which on a set of equal rows is divided after all: no fold may be empty."""


def content_folds(rows: Sequence[Row]) -> np.ndarray:
    """bool array [n], which of the two folds each row is in; it depends on what rows there are, not on their order.

    Sets of equal rows go to the smaller fold, the largest first; among those of one size a hash decides.
    """
    hashes = np.array([_hash(f"{row.id}\t{row.turn}") for row in rows], dtype=np.uint64)
    parts = list(_divided(rows, hashes, LARGEST * len(rows)))
    parts.sort(key=lambda part: (-len(part), hashes[part].min()))
    fold = np.zeros(len(rows), dtype=bool)
    sizes = [0, 0]
    for part in parts:
        smaller = int(sizes[1] < sizes[0])
        fold[part] = smaller == 1
        sizes[smaller] += len(part)
    return fold


def _divided(rows: Sequence[Row], hashes: np.ndarray, limit: float) -> Iterator[np.ndarray]:
    """Sets of equal rows; of one that is larger than the limit those with equal images, and of these single rows."""
    for members in _sets_of_equal(rows, np.arange(len(rows)), _keys):
        if len(members) <= max(1.0, limit):
            yield members
            continue
        for shown in _sets_of_equal(rows, members, _images):
            if len(shown) <= max(1.0, limit):
                yield shown
            else:
                yield from shown[np.argsort(hashes[shown])][:, None]


def _sets_of_equal(
    rows: Sequence[Row], members: np.ndarray, keys: Callable[[Row], Iterator[str]]
) -> Iterator[np.ndarray]:
    """The connected components of those of the rows that share a key."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    first: dict[bytes, int] = {}
    edges = [
        (place, first.setdefault(_short(key), place))
        for place, number in enumerate(members.tolist())
        for key in keys(rows[number])
    ]
    ends = np.array([edge for edge in edges if edge[0] != edge[1]], dtype=int).reshape(-1, 2)
    graph = coo_matrix((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(len(members), len(members)))
    _, labels = connected_components(graph, directed=False)
    order = np.argsort(labels, kind="stable")
    if len(members):
        yield from np.split(members[order], np.flatnonzero(np.diff(labels[order])) + 1)


def _images(row: Row) -> Iterator[str]:
    yield from (f"image {image_content(image)}" for image in row.images)


def _keys(row: Row) -> Iterator[str]:
    yield from _images(row)
    words = row.response.lower().split()
    if len(words) >= LEAST_WORDS:
        yield "response " + " ".join(words)


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())


def _short(key: str) -> bytes:
    """What is kept of a key: a response or a name may be long."""
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def by_fold(order: Sequence[int], fold: np.ndarray) -> list[int]:
    """The same order within each fold: a batch of both would go through the model twice, once with each adapter."""
    return sorted(order, key=lambda item: bool(fold[item]))
