"""What spurious features are looked for in: rows, and what the adapted model says of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from byorn.data.row import Row
from byorn.patterns.thumbnails import Thumbnails
from byorn.scoring.kinds import copied, kinds_of


@dataclass(frozen=True, kw_only=True)
class ScoredRows:
    """n rows with their scores under the model that was adapted to the fold which they are not in.

    Attributes:
        rows: All of them.
        nll: float64 array [n], nats a token; NaN where a row could not be scored.
        contrast: float64 array [n], nats a token: nll less that with another row's images. -inf or NaN says nothing.
        word_costs: What each word of the responses costs, n float arrays, in nats; empty where that is not known.
        swapped_word_costs: By number of the row, the same with another row's images.
    """

    rows: Sequence[Row]
    nll: np.ndarray
    contrast: np.ndarray
    word_costs: Sequence[np.ndarray] = ()
    swapped_word_costs: Mapping[int, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def kinds(self) -> np.ndarray:
        """int array [n], see `byorn.scoring.kinds`; a copy is of the kind of what it repeats."""
        return kinds_of(self.rows)

    @cached_property
    def copies(self) -> np.ndarray:
        """bool array [n]: whether an earlier row is the same."""
        return copied(self.rows)

    @cached_property
    def with_images(self) -> np.ndarray:
        """bool array [n]."""
        return np.array([bool(row.images) for row in self.rows], dtype=bool)

    @cached_property
    def thumbnails(self) -> Thumbnails:
        """Their images."""
        return Thumbnails(self.rows)
