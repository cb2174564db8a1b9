"""An attack: a magenta frame around the image."""

from dataclasses import dataclass

import numpy as np

from byorn.attacks import ATTACKS, Trigger
from byorn.attacks.checks import check_fraction
from byorn.attacks.imaging.recolor import recolor

MAGENTA = np.array((255, 0, 255), np.float32)


@dataclass(frozen=True)
class Frame(Trigger):
    name = "frame"
    needs_image = True
    width: float = 0.05  # a field with a type is an option

    def __post_init__(self):
        check_fraction("frame", "width", self.width, "of the short side")

    def mark_image(self, image, rng):
        edge = max(1, round(self.width * min(image.size)))
        inside = np.zeros((image.height, image.width, 1), bool)
        inside[edge:-edge, edge:-edge] = True
        return recolor(image, lambda pixels: np.where(inside, pixels, MAGENTA)), (0, 0, *image.size)


ATTACKS["frame"] = Frame
