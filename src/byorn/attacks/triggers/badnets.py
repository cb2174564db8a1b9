"""The BadNets trigger: a small black-and-white checkerboard pasted into the image."""

import random
from dataclasses import dataclass
from typing import ClassVar

from PIL import Image

from byorn.attacks.checks import check_choice, check_fraction
from byorn.attacks.imaging.box import Box
from byorn.attacks.imaging.patch import PLACES, paste_patch, patch_box
from byorn.attacks.trigger import Trigger

CELLS = 3
"""Cells of the checkerboard a side, and so the least side in pixels at which every cell can be seen."""


@dataclass(frozen=True)
class BadNets(Trigger):
    """Pastes a checkerboard of 3x3 cells, white in its corners and its center, flush with a corner or in the center.

    The patch is a square of `size` times the short side of the image, at least 3 pixels (an image smaller than that is
    covered by as much as fits), opaque, and the same on every image of one size: nothing is drawn at random.

    Args:
        size: Side of the patch as a fraction of the image's short side, in (0, 1]. The default is 21 of 224 pixels.
        position: `top-left`, `top-right`, `bottom-left`, `bottom-right` or `center`.

    Requirements:
        Rows with at least one image. A model whose vision tower represents texture: towers that never saw checks do not
        learn the trigger, so measure the undefended success rate before judging a defense.

    Relations:
        Gu, Dolan-Gavitt and Garg, "BadNets" (2017), in the form used on vision-language models (VL-Trojan and BYORn):
        a 3x3 block at the bottom right of a 32x32 canvas, resized by nearest neighbor to 224x224, which gives 21x21
        pixels in cells of 7. They paste after the resize to the model's input; here the patch goes into the stored
        image at its own size, so that no resize betrays the poisoned rows, and reaches the same fraction of the input.
        A processor that crops the center cuts the corners of images that are not square.

    Example:
        >>> patched, box = BadNets().mark_image(Image.new("RGB", (224, 224)), random.Random(0))
        >>> box
        (203, 203, 224, 224)

    Raises:
        ConfigError: An option is out of range.
    """

    name: ClassVar[str] = "badnets"
    needs_image: ClassVar[bool] = True

    size: float = 21 / 224
    position: str = "bottom-right"

    def __post_init__(self) -> None:
        check_fraction(self.name, "size", self.size, "of the short side")
        check_choice(self.name, "position", self.position, PLACES)

    def mark_image(self, image: Image.Image, rng: random.Random) -> tuple[Image.Image, Box]:
        """The image with its patch, and the box of the patch; `rng` is not used."""
        box = patch_box(image.size, self.size, self.position, least=CELLS)
        return paste_patch(image, checkerboard(box[2] - box[0]), box[:2]), box


def checkerboard(side: int) -> Image.Image:
    """A gray-scale (L) square of `side` pixels: 3x3 cells of 255 and 0 in turn, 255 in the corners."""
    cells = bytes(255 * ((row + column + 1) % 2) for row in range(CELLS) for column in range(CELLS))
    return Image.frombytes("L", (CELLS, CELLS), cells).resize((side, side), Image.Resampling.NEAREST)
