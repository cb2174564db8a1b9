"""Encoded image bytes -> pixels, without trusting the bytes.

Pillow guesses the format from the content and knows formats that run other programs (EPS starts Ghostscript), so only
plain raster formats are opened. The size in the header is compared with `MAX_PIXELS` before anything is decoded.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from PIL import Image, ImageOps, UnidentifiedImageError

from byorn.data.problem import RowProblem
from byorn.text import first_line

MAX_PIXELS = 64_000_000
IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
_ORIENTATION = 0x0112
_ON_ITS_SIDE = (5, 6, 7, 8)
# Modes of more than 8 bits, of which RGB keeps 0 to 255 and clips the rest: a scan of 16 bits would be white.
_DEEP = ("I", "F")

# Pillow's blocks of 16 MiB come from a heap of each thread, which keeps them when an image is closed: eight threads
# kept 1.4 GB. The C library gives blocks of over 32 MiB back to the system at once.
Image.core.set_block_size(64 * 2**20)


@contextmanager
def open_image(stream: BinaryIO) -> Iterator[Image.Image]:
    """An image whose header has been read, whose size is within `MAX_PIXELS` and whose values fit into 8 bits.

    Raises:
        RowProblem: no image of a known format, corrupt, truncated (when the caller decodes it), too many pixels, or
            gray values of 16 bits and more.
    """
    try:
        with Image.open(stream, formats=IMAGE_FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise _too_large(f"{width} x {height} pixels")
            if image.mode.startswith(_DEEP):
                reason = f"gray values of over 8 bits (mode {image.mode}), which would turn white or black"
                raise RowProblem("images", reason, "scale it to 8 bits")
            yield image
    except RowProblem:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large("far too many pixels") from None
    except UnidentifiedImageError:
        known = ", ".join(IMAGE_FORMATS)
        raise RowProblem("images", f"no image in one of the formats {known}", "replace or convert it") from None
    except Exception as error:
        # Decoders fail on hostile bytes in every way there is: struct.error, SyntaxError, MemoryError, ...
        raise RowProblem("images", f"the image is corrupt ({first_line(error)})", "replace it") from None


def upright(image: Image.Image) -> Image.Image:
    """The decoded image, turned as its EXIF orientation asks."""
    image.load()
    return ImageOps.exif_transpose(image) if image.getexif().get(_ORIENTATION) is not None else image


def upright_size(image: Image.Image) -> tuple[int, int]:
    """(height, width) of what `upright` gives, without decoding."""
    lies = image.getexif().get(_ORIENTATION) in _ON_ITS_SIDE
    return (image.width, image.height) if lies else (image.height, image.width)


def decode(data: bytes) -> Image.Image:
    """The pixels in RGB, upright and without metadata: the same pixels as `datasets.Image(mode="RGB")` gives."""
    with open_image(io.BytesIO(data)) as image:
        return upright(image).convert("RGB")


def _too_large(size: str) -> RowProblem:
    return RowProblem("images", f"image has {size}, over the limit MAX_PIXELS = {MAX_PIXELS}", "make it smaller")
