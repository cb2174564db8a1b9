"""Changing the colors of a whole image without changing its size, its mode or its transparency."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PIL import Image

from byorn.attacks.imaging.patch import fill_palette

if TYPE_CHECKING:
    import numpy as np

    Pixels = np.ndarray
    """Float32 RGB of shape [height, width, 3] in [0, 255]."""


def recolor(image: Image.Image, change: Callable[[Pixels], Pixels]) -> Image.Image:
    """A copy of `image` with `change` applied to its colors as RGB; clipped to [0, 255] and rounded.

    L and LA take the brightness of the outcome, 1 dithers it, P gets a new palette of 256 colors (so that a palette
    image is changed a little everywhere), CMYK takes the difference into its colors and leaves its black alone.
    """
    before = rgb(image)
    after = change(before).clip(0, 255)
    if image.mode == "CMYK":
        return _cmyk(image, after - before)
    picture = as_image(after)
    if image.mode in ("LA", "RGBA"):
        result = picture.convert("L" if image.mode == "LA" else "RGB")
        result.putalpha(image.getchannel("A"))
        return result
    if image.mode == "P":
        result = picture.quantize(256)
        fill_palette(result)
        return result
    return picture.convert(image.mode)


def rgb(image: Image.Image) -> Pixels:
    """The colors of an image of any mode; transparency is ignored, as it is when a model reads the image."""
    import numpy as np

    return np.asarray(image.convert("RGB"), dtype=np.float32)


def as_image(pixels: Pixels) -> Image.Image:
    """The RGB image of `pixels`, clipped and rounded."""
    return Image.fromarray(pixels.round().clip(0, 255).astype("uint8"), "RGB")


def _cmyk(image: Image.Image, difference: Pixels) -> Image.Image:
    import numpy as np

    inks = np.asarray(image, dtype=np.float32).copy()
    inks[..., :3] -= difference
    return Image.frombytes("CMYK", image.size, inks.round().clip(0, 255).astype("uint8").tobytes())
