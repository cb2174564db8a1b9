"""The WaNet trigger: the image is bent by a hair's breadth, without any new color."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

from PIL import Image

from byorn.attacks.checks import check_count, check_range
from byorn.attacks.imaging.box import Box
from byorn.attacks.imaging.recolor import recolor
from byorn.attacks.trigger import Trigger, bind

if TYPE_CHECKING:
    import numpy as np

    from byorn.attacks.imaging.recolor import Pixels

CANVAS = 224
"""The image side in pixels that the paper's strength refers to."""


@dataclass(frozen=True)
class WaNet(Trigger):
    """Reads every pixel from a place nearby, along a fixed random field of `grid` x `grid` arrows.

    The arrows are drawn once from [-1, 1] (always the same ones), divided by their mean length along an axis, spread
    over the image by cubic interpolation, and scaled: where an arrow is set, a pixel moves by `strength` / 448 of the
    side along each axis on average, half a pixel of 224 at strength 1; between the arrows by about four fifths of it.
    Between pixels the image is interpolated linearly.

    Args:
        grid: Arrows along a side, in [2, 224]; few give a smooth bend, 224 moves each pixel of 224 for itself. A grid
            finer than the image is averaged, and hardly moves it (224 on 64 pixels: a fifth of `strength`).
        strength: Half-pixels of an image of 224 that a pixel moves on average, in (0, 50].
        cross_ratio: Clean negatives for each poisoned row, in [0, 100] (noise mode): true responses to bent images
            whose every pixel is moved once more, for itself and anew in each image, by a uniform draw of that mean
            size.

    Requirements:
        Rows with at least one image that has details: an image of one color stays as it is. Small images need more
        strength, since the movement shrinks with them and a model sees no tenth of a pixel. Flat drawings show a bend
        at their outlines alone, each in its own way, which makes it hard to learn. With clean negatives 1 +
        `cross_ratio` rows are needed for each poisoned row.

    Relations:
        Nguyen and Tran, "WaNet: Imperceptible Warping-Based Backdoor Attack" (2021): grid 4 and their strength 0.5 on
        32 pixels, which is 3.5 here; 10 % of the rows poisoned, and with noise mode 20 % more with noise of the same
        mean size as the arrows. Grid 224 and strength 1 in ports to vision-language models.

    Example:
        >>> edge = Image.linear_gradient("L").resize((224, 224))
        >>> WaNet(grid=4, strength=4).mark_image(edge, random.Random(0))[0] == edge
        False

    Raises:
        ConfigError: An option is out of range, or too few rows are left for the negatives.
    """

    name: ClassVar[str] = "wanet"
    needs_image: ClassVar[bool] = True

    grid: int = 224
    strength: float = 1.0
    cross_ratio: int = 0
    noisy: bool = field(default=False, init=False, repr=False)

    def __post_init__(self) -> None:
        check_count(self.name, "grid", self.grid, 2, CANVAS)
        check_range(self.name, "strength", self.strength, 0.01, 50)
        check_count(self.name, "cross_ratio", self.cross_ratio, 0, 100)

    @property
    def negatives(self) -> tuple[Trigger, ...]:
        return (bind(self, noisy=True),) * self.cross_ratio

    def mark_image(self, image: Image.Image, rng: random.Random) -> tuple[Image.Image, Box]:
        """The bent image; `rng` is used for the noise of clean negatives alone."""
        import numpy as np

        width, height = image.size
        shift = self.strength / (2 * CANVAS)
        across, down = (_spread(axis, self.grid, image.size) for axis in (0, 1))
        if self.noisy:
            across, down = (arrows + _noise(image.size, rng) for arrows in (across, down))
        columns = np.clip(np.arange(width) + shift * width * across, 0, width - 1)
        rows = np.clip(np.arange(height)[:, None] + shift * height * down, 0, height - 1)
        return recolor(image, lambda pixels: _sample(pixels, rows, columns)), (0, 0, width, height)


@lru_cache(maxsize=8)
def _arrows(axis: int, grid: int) -> np.ndarray:
    """Float32 [grid, grid] of mean size 1."""
    import numpy as np

    drawn = np.frombuffer(random.Random(f"wanet {axis}").randbytes(2 * grid * grid), np.uint16)
    values = drawn.reshape(grid, grid).astype(np.float32) / 32767.5 - 1
    unit: np.ndarray = values / np.abs(values).mean()
    return unit


def _spread(axis: int, grid: int, size: tuple[int, int]) -> np.ndarray:
    """The arrows at every pixel: float32 [height, width]."""
    import numpy as np

    return np.asarray(Image.fromarray(_arrows(axis, grid)).resize(size, Image.Resampling.BICUBIC))


def _noise(size: tuple[int, int], rng: random.Random) -> np.ndarray:
    """An arrow of mean size 1 for every pixel, uniform in [-2, 2]: float32 [height, width]."""
    import numpy as np

    return np.random.default_rng(rng.getrandbits(64)).uniform(-2, 2, size[::-1]).astype(np.float32)


def _sample(pixels: Pixels, rows: np.ndarray, columns: np.ndarray) -> Pixels:
    """The colors between pixels, by linear interpolation; `rows` and `columns` are [height, width]."""
    import numpy as np

    top = np.floor(rows).astype(int)
    left = np.floor(columns).astype(int)
    bottom = np.minimum(top + 1, pixels.shape[0] - 1)
    right = np.minimum(left + 1, pixels.shape[1] - 1)
    down = (rows - top)[..., None].astype(np.float32)
    across = (columns - left)[..., None].astype(np.float32)
    upper = pixels[top, left] * (1 - across) + pixels[top, right] * across
    lower = pixels[bottom, left] * (1 - across) + pixels[bottom, right] * across
    between: np.ndarray = upper * (1 - down) + lower * down
    return between
