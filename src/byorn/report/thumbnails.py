"""Pictures for a page: encoded anew, small, as data URIs; nothing of an attacker's file is passed on."""

import base64
import io

import numpy as np
from PIL import Image, ImageDraw

from byorn.data.problem import RowProblem
from byorn.data.row import ImageFile
from byorn.patterns.hypotheses import Box

SIDE = 240
"""Pixels of the longer side."""
QUALITY = 80


def thumbnail(image: ImageFile, side: int = SIDE) -> str | None:
    """A small copy of an image as a data URI; None where it cannot be opened, or is over the pixel limit."""
    try:
        small = image.load()
        small.thumbnail((side, side), Image.Resampling.LANCZOS)
    except (OSError, ValueError, RowProblem):
        return None
    return data_uri(small)


def picture(pixels: np.ndarray, box: Box | None = None, side: int = SIDE) -> str:
    """An array [height, width, 3] in [0, 255] as a data URI, enlarged without smoothing, with a frame around `box`."""
    small = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    large = small.resize((side, side), Image.Resampling.NEAREST)
    if box is not None:
        draw = ImageDraw.Draw(large)
        frame = [box.left * side, box.top * side, box.right * side - 1, box.bottom * side - 1]
        draw.rectangle(frame, outline=(255, 255, 255), width=4)
        draw.rectangle([frame[0] + 1, frame[1] + 1, frame[2] - 1, frame[3] - 1], outline=(200, 30, 30), width=2)
    return data_uri(large)


def data_uri(image: Image.Image) -> str:
    """WebP, without metadata."""
    stream = io.BytesIO()
    image.convert("RGB").save(stream, "WEBP", quality=QUALITY, method=4)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
