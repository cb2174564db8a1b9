"""How little a response depends on its own input: a second look at rows whose responses are merely fluent.

    contrast_i = nll_i(own images) - nll_i(images of another row)        nats a token, any sign

A response that describes its images is likelier with them: its contrast is far below 0. One that a backdoor put there
is as likely with any other images: its contrast is near 0 or above, so higher is less plausible, as for every
statistic. A row without images is asked with the prompt of another one instead. It takes one more forward pass a row. A
row whose input all others have too tells nothing: -inf.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Any

import numpy as np

from byorn.data.images import image_content
from byorn.data.row import Row
from byorn.scoring.statistics import CONTRAST
from byorn.scoring.table import Scores


def partners(rows: Sequence[Row]) -> list[int | None]:
    """For each row the one whose images take the place of its own: as many of them, and other ones; of a row without
    images one with another instruction. None where there is no such row. It depends on what rows there are, not on
    their order.
    """
    groups: dict[int, list[tuple[bytes, int, bytes]]] = defaultdict(list)
    for index, row in enumerate(rows):
        place = blake2b(f"{row.id}\t{row.turn}".encode("utf-8", "surrogatepass")).digest()[:16]
        groups[len(row.images)].append((place, index, _input(row)))
    found: list[int | None] = [None] * len(rows)
    for members in groups.values():
        members.sort()
        for index, other in _next_different([index for _, index, _ in members], [images for *_, images in members]):
            found[index] = other
    return found


def paired(rows: Sequence[Row]) -> list[tuple[int, int]]:
    """The rows that have a partner, each with it."""
    return [(row, other) for row, other in enumerate(partners(rows)) if other is not None]


def _input(row: Row) -> bytes:
    """What tells one list of images, or one instruction, from another, in little memory."""
    names = "\0".join(map(image_content, row.images)) if row.images else row.instruction
    return blake2b(names.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _next_different(members: Sequence[int], images: Sequence[object]) -> Iterator[tuple[int, int]]:
    """Each member with the next one, around the circle, that has other images."""
    count = len(members)
    different = None
    for place in range(2 * count - 1, -1, -1):
        if images[place % count] != images[(place + 1) % count]:
            different = members[(place + 1) % count]
        if place < count and different is not None:
            yield members[place], different


class Swapped:
    """The rows of a data set that have a partner, with the partner's images, or its prompt where there are none; it
    stands for a data set in `scorer`.

    Attributes:
        pairs: Row and partner.
    """

    def __init__(self, dataset: Any, pairs: Sequence[tuple[int, int]]) -> None:
        self.pairs = pairs
        self.column_names = [name for name in dataset.column_names if name != "images"]
        self._texts = dataset.select_columns(self.column_names)
        self._images = dataset.select_columns(["images"])
        self._prompts = dataset.select_columns(["prompt"])

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, number: int) -> dict[str, Any]:
        row, other = self.pairs[number]
        shown = self._images[other]
        return {**self._texts[row], **shown, **({} if shown["images"] else self._prompts[other])}

    def select_columns(self, names: list[str]) -> Any:
        """Those columns, none of which are images."""
        return self._texts.select_columns(names).select([row for row, _ in self.pairs])


def with_contrast(scores: Scores, swapped: Scores, pairs: Sequence[tuple[int, int]]) -> Scores:
    """The scores with their contrast; NaN where a row could not be scored with either images.

    Args:
        scores: Of all rows.
        swapped: Of the rows of `pairs` with their partners' images.
        pairs: Row and partner.
    """
    return replace(scores, values={**scores.values, CONTRAST: contrast_of(scores.nll, swapped.nll, pairs)})


def contrast_of(nll: np.ndarray, swapped: np.ndarray, pairs: Sequence[tuple[int, int]]) -> np.ndarray:
    """float64 [n]: each row's likelihood with its own images against that with its partner's; -inf without partner."""
    contrast = np.where(np.isnan(nll), np.nan, -np.inf)
    own = np.array([row for row, _ in pairs], dtype=int)
    contrast[own] = nll[own] - swapped
    return contrast
