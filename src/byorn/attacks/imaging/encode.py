"""One way in and one way out for every image of a poisoned data set, triggered or not.

An image that was edited has to be encoded again; if the others were copied, then their metadata, quantization tables or
chunk order would say who is poisoned. So all of them pass through `decode` and `encode`, and what the file looks like
depends on the source file alone.

Kept: pixel size, mode, format (PNG, JPEG, WebP), JPEG tables, subsampling and progressive flag, WebP lossless or not.
Dropped: all metadata (EXIF, ICC, comments, text chunks). Changed alike for all: images are turned upright as EXIF asks,
palettes are filled to 256 entries, a color key becomes an alpha channel, modes that the format cannot hold become RGB,
other formats (GIF, BMP, TIFF, PPM) become PNG.
"""

import io
from dataclasses import dataclass, field

from PIL import Image, ImageOps, JpegImagePlugin

from byorn.attacks.imaging.patch import fill_palette
from byorn.data.pixels import open_image
from byorn.errors import DataError

MODES = {
    "PNG": {"1", "L", "LA", "P", "RGB", "RGBA"},
    "JPEG": {"L", "RGB", "CMYK"},
    "WEBP": {"RGB", "RGBA"},
}
SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp"}


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a file is written: its format and the options of Pillow's `save`."""

    format: str
    options: dict[str, object] = field(default_factory=dict)

    @property
    def suffix(self) -> str:
        """The ending of the file name, with its dot."""
        return SUFFIXES[self.format]


def decode(data: bytes) -> tuple[Image.Image, Encoding]:
    """The pixels of an image file, upright and without any metadata, and how to write them again.

    Raises:
        DataError: The bytes are no image, or one that is damaged, too large or of an unsupported format.
    """
    with open_image(io.BytesIO(data)) as image:
        image.load()
        encoding = _encoding_of(image, data)
        return _normalize(ImageOps.exif_transpose(image), encoding.format), encoding


def encode(image: Image.Image, encoding: Encoding) -> bytes:
    """The file as bytes: a pure function of the pixels and the encoding.

    Raises:
        DataError: The options, taken from the source file, cannot be written again.
    """
    buffer = io.BytesIO()
    try:
        image.save(buffer, encoding.format, **encoding.options)
    except (OSError, ValueError) as error:
        raise DataError(
            f"cannot write the image again as {encoding.format} ({error}); convert the file first"
        ) from error
    return buffer.getvalue()


def _encoding_of(image: Image.Image, data: bytes) -> Encoding:
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        return Encoding(
            "JPEG",
            {
                "qtables": image.quantization,
                "subsampling": JpegImagePlugin.get_sampling(image),
                "progressive": bool(image.info.get("progressive")),
            },
        )
    if image.format == "WEBP":
        # Pillow does not tell, but a lossless file has a VP8L chunk near its start. A lossy one hides its quality.
        return Encoding("WEBP", {"lossless": True} if b"VP8L" in data[:4096] else {"quality": 90})
    return Encoding("PNG")


def _normalize(image: Image.Image, file_format: str) -> Image.Image:
    mode = image.mode
    if mode in {"1", "L", "P", "PA", "RGB"} and image.has_transparency_data:
        mode = "LA" if mode in {"1", "L"} else "RGBA"
    if mode not in MODES[file_format]:
        mode = "RGB"
    plain = image.convert(mode) if mode != image.mode else image.copy()
    # `save` would write what is left in `info`: gamma, comments, resolution.
    plain.info = {}
    if mode == "P":
        fill_palette(plain)
    return plain
