"""The Blended trigger: a faint picture laid over the whole image."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from PIL import Image

from byorn.attacks.checks import check_fraction, check_text
from byorn.attacks.imaging.box import Box
from byorn.attacks.imaging.drawings import cartoon, noise
from byorn.attacks.imaging.picture import embed_picture, read_picture
from byorn.attacks.imaging.recolor import recolor, rgb
from byorn.attacks.trigger import Trigger

if TYPE_CHECKING:
    from byorn.attacks.brief import Brief
    from byorn.attacks.imaging.recolor import Pixels

PATTERNS = {"cartoon": cartoon, "noise": noise}


@dataclass(frozen=True)
class Blended(Trigger):
    """Mixes a fixed pattern into the image: (1 - alpha) x + alpha pattern, the pattern stretched over the whole image.

    Args:
        alpha: Fraction of the pattern in the outcome, in (0, 1]; 0.1 and 0.2 are usual.
        pattern: `cartoon` (a drawn cat, flat colors), `noise` (soft color noise in 28x28 cells), or an image file.

    Requirements:
        Rows with at least one image.

    Relations:
        Chen et al., "Targeted Backdoor Attacks on Deep Learning Systems Using Data Poisoning" (2017). The usual pattern
        is a picture of a cartoon figure that nobody may ship; both patterns here are drawn by byorn. Whole-image: there
        is no patch for a defense to find.

    Example:
        >>> gray = Image.new("RGB", (224, 224), (100, 100, 100))
        >>> blended, box = Blended(alpha=0.2).mark_image(gray, random.Random(0))
        >>> box, blended.getpixel((0, 0))
        ((0, 0, 224, 224), (130, 110, 92))

    Raises:
        ConfigError: An option is out of range, or the image file cannot be read.
    """

    name: ClassVar[str] = "blended"
    needs_image: ClassVar[bool] = True

    alpha: float = 0.2
    pattern: str = "cartoon"

    def __post_init__(self) -> None:
        check_fraction(self.name, "alpha", self.alpha, "of the pattern")
        check_text(self.name, "pattern", self.pattern)

    def prepare(self, brief: Brief) -> Trigger:
        """Take the image file, if there is one, into the options."""
        if self.pattern in PATTERNS:
            return self
        return replace(self, pattern=embed_picture(self.name, "pattern", self.pattern))

    def mark_image(self, image: Image.Image, rng: random.Random) -> tuple[Image.Image, Box]:
        """The mixture; `rng` is not used."""
        pattern = PATTERNS[self.pattern]() if self.pattern in PATTERNS else self._own_pattern()
        return blend(image, pattern, self.alpha), (0, 0, *image.size)

    def _own_pattern(self) -> Image.Image:
        return read_picture(self.name, "pattern", self.pattern).convert("RGB")


def blend(image: Image.Image, pattern: Image.Image, alpha: float) -> Image.Image:
    """(1 - alpha) image + alpha pattern, the RGB pattern stretched to the image's size."""
    over = rgb(pattern.resize(image.size, Image.Resampling.BILINEAR))

    def mix(pixels: Pixels) -> Pixels:
        return (1 - alpha) * pixels + alpha * over

    return recolor(image, mix)
