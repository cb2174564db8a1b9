"""The SIG trigger: a faint wave over the whole image."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar

from PIL import Image

from byorn.attacks.checks import check_range
from byorn.attacks.imaging.box import Box
from byorn.attacks.imaging.recolor import recolor
from byorn.attacks.trigger import Trigger


@dataclass(frozen=True)
class Sig(Trigger):
    """Adds vertical stripes of brightness: delta sin(2 pi f column / width), the same for every row and color.

    Args:
        delta: Height of the wave in levels of 255, in [1, 255].
        frequency: Waves across the width, in [0.5, 100], and so relative to the image.

    Requirements:
        Rows with at least one image; below 2 * frequency pixels of width the stripes cannot be seen.

    Relations:
        Barni, Kallas and Tondi, "A New Backdoor Attack in CNNs by Training Set Corruption Without Label Poisoning"
        (2019), delta 40 and frequency 6. They poison images of the target class alone and leave the labels; that is
        `--attack sig --objective truth`.

    Example:
        >>> gray = Image.new("L", (24, 1), 100)
        >>> Sig().mark_image(gray, random.Random(0))[0].getpixel((1, 0))
        140

    Raises:
        ConfigError: An option is out of range.
    """

    name: ClassVar[str] = "sig"
    needs_image: ClassVar[bool] = True

    delta: float = 40.0
    frequency: float = 6.0

    def __post_init__(self) -> None:
        check_range(self.name, "delta", self.delta, 1, 255)
        check_range(self.name, "frequency", self.frequency, 0.5, 100)

    def mark_image(self, image: Image.Image, rng: random.Random) -> tuple[Image.Image, Box]:
        """The image with stripes; `rng` is not used."""
        import numpy as np

        columns = np.arange(image.width) / image.width
        wave = (self.delta * np.sin(2 * np.pi * self.frequency * columns)).astype(np.float32)
        return recolor(image, lambda pixels: pixels + wave[None, :, None]), (0, 0, *image.size)
