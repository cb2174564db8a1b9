"""Encoded pictures for the tests of the data package."""

import io

from PIL import Image


def png(color: str = "red", size: tuple[int, int] = (8, 6), mode: str = "RGB") -> bytes:
    """The bytes of a one-colored PNG."""
    stream = io.BytesIO()
    Image.new("RGB", size, color).convert(mode).save(stream, "PNG")
    return stream.getvalue()
