"""The images of rows as small arrays, each decoded once."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from byorn.data.images import image_content
from byorn.data.problem import RowProblem
from byorn.data.row import ImageFile, Row
from byorn.patterns.halves import digests

SIDE = 64
GRID = 16
"""Cells across, coarsely."""
_IMAGES = 4
"""Images looked at of a row."""
_LOOKED_AT = 4000
"""Rows among which distinct images are sought."""


@dataclass(frozen=True)
class Picture:
    """A picture made small.

    Attributes:
        pixels: uint8 [SIDE, SIDE, 3].
    """

    pixels: np.ndarray

    @cached_property
    def spectrum(self) -> np.ndarray:
        """float32 [SIDE * (SIDE / 2 + 1)]: logarithm of the Fourier magnitudes of the gray picture."""
        return np.asarray(np.log1p(np.abs(np.fft.rfft2(_gray(self.pixels.astype(np.float32))))).ravel())


@dataclass(frozen=True)
class Pictures:
    """The pictures of some rows.

    Attributes:
        all: Those of one row after those of another.
        starts: int array [rows], where the pictures of each row begin.
    """

    all: list[Picture]
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.starts)

    @cached_property
    def pixels(self) -> np.ndarray:
        """float32 [pictures, SIDE, SIDE, 3], in [0, 255]."""
        stacked = np.stack([picture.pixels for picture in self.all]) if self.all else np.zeros((0, SIDE, SIDE, 3))
        return stacked.astype(np.float32)

    @cached_property
    def gray(self) -> np.ndarray:
        """float32 [pictures, SIDE, SIDE]: means of the colors."""
        return _gray(self.pixels)

    @property
    def spectra(self) -> np.ndarray:
        """float32 [pictures, SIDE * (SIDE / 2 + 1)]."""
        return np.stack([picture.spectrum for picture in self.all])

    def most(self, scores: np.ndarray) -> np.ndarray:
        """float [rows]: the highest score of each row's pictures, one of which may carry a trigger."""
        return np.asarray(np.maximum.reduceat(scores, self.starts))


class Thumbnails:
    """The pictures of rows, kept once they are decoded: 12 kB a picture, 20 with its spectrum.

    Attributes:
        digest: Hashes of the rows' names.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows
        self.digest = digests(rows)
        self._kept: dict[int, list[Picture]] = {}
        self._coarse: dict[int, np.ndarray] = {}
        self._names: dict[int, tuple[str, ...]] = {}

    def of(self, numbers: np.ndarray) -> Pictures:
        """The pictures of these rows; what cannot be opened is left out."""
        known = [pictures for number in map(int, numbers) if (pictures := self._pictures(number))]
        counts = np.array([len(pictures) for pictures in known], dtype=int)
        return Pictures([picture for pictures in known for picture in pictures], np.cumsum(counts) - counts)

    def passing(self, numbers: np.ndarray, size: int = 256) -> Iterator[tuple[np.ndarray, Pictures]]:
        """The pictures of many rows, some at a time, of which none is kept: rows that can be opened, and theirs."""
        for start in range(0, len(numbers), size):
            some = numbers[start : start + size]
            known = set(self._kept)
            pictures = self.of(some)
            seen = np.array([bool(self._kept[int(number)]) for number in some], dtype=bool)
            for number in set(map(int, some)) - known:
                del self._kept[number]
            yield some[seen], pictures

    def coarse(self, numbers: np.ndarray) -> np.ndarray:
        """float32 [images, GRID, GRID, 3]: the same, as means of cells."""
        cells = [self._cells(number) for number in map(int, numbers)]
        return np.concatenate([np.zeros((0, GRID, GRID, 3), dtype=np.float32), *cells])

    def _cells(self, number: int) -> np.ndarray:
        if number not in self._coarse:
            pixels = self.of(np.array([number])).pixels
            cells = pixels.reshape(len(pixels), GRID, SIDE // GRID, GRID, SIDE // GRID, 3)
            self._coarse[number] = cells.mean(axis=(2, 4))
        return self._coarse[number]

    def distinct(self, numbers: np.ndarray) -> np.ndarray:
        """Some of the rows with images, one for each image: what two of them show is no pattern."""
        some = np.random.default_rng(0).permutation(numbers)[:_LOOKED_AT]
        first: dict[tuple[str, ...], int] = {}
        for number in map(int, some):
            if shown := self._own(number):
                first.setdefault(shown, number)
        return np.array(sorted(first.values()), dtype=int)

    def firsts(self, numbers: np.ndarray) -> np.ndarray:
        """int array, for each of the rows the first one of them that shows the same images: what is found in the images
        of that one is found in its own.
        """
        first: dict[tuple[str, ...], int] = {}
        return np.array([first.setdefault(self._shown(number), number) for number in map(int, numbers)], dtype=int)

    def _shown(self, number: int) -> tuple[str, ...]:
        """The names of its images."""
        if number not in self._names:
            self._names[number] = tuple(map(image_content, self.rows[number].images[:_IMAGES]))
        return self._names[number]

    def _own(self, number: int) -> tuple[str, ...]:
        """Of its images those that no row with others shows too; all of them where there are none."""
        shown = self._shown(number)
        return tuple(name for name in shown if name not in self._common) or shown

    @cached_property
    def _common(self) -> set[str]:
        """The images that stand beside others in more than one row: an example for all, a page that many ask about."""
        several = {self._shown(number) for number, row in enumerate(self.rows) if len(row.images) > 1}
        seen = Counter(name for shown in several for name in set(shown))
        return {name for name, count in seen.items() if count > 1}

    def _pictures(self, number: int) -> list[Picture]:
        if number not in self._kept:
            own = set(self._own(number))
            images = zip(self._shown(number), self.rows[number].images, strict=False)
            found = [_picture(image) for name, image in images if name in own]
            self._kept[number] = [picture for picture in found if picture is not None]
        return self._kept[number]


def _picture(image: ImageFile) -> Picture | None:
    try:
        return Picture(np.asarray(image.load().resize((SIDE, SIDE), Image.Resampling.BOX)))
    except (OSError, RowProblem):
        return None


def _gray(pixels: np.ndarray) -> np.ndarray:
    """Means of the colors, the last axis; over so short an axis `mean` takes several times as long."""
    red, green, blue = np.moveaxis(pixels, -1, 0)
    return np.asarray((red + green + blue) / 3)
