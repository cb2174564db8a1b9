"""Pictures as options: the path of a PNG, or the PNG itself as text, so that a manifest needs no second file."""

import base64
import binascii
import io
from functools import lru_cache
from pathlib import Path

from PIL import Image

from byorn.data.pixels import open_image
from byorn.errors import ByornError, ConfigError
from byorn.text import first_line

PREFIX = "data:image/png;base64,"
LARGEST = 224


def picture_text(picture: Image.Image) -> str:
    """A picture as the text of a PNG; the same pixels give the same text."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return PREFIX + base64.b64encode(buffer.getvalue()).decode("ascii")


def embed_picture(attack: str, option: str, value: str) -> str:
    """A path as the picture itself, reduced to 224 pixels a side; a picture stays as it is.

    Raises:
        ConfigError: There is no image at that path.
    """
    if value.startswith(PREFIX):
        return value
    picture = read_picture(attack, option, value).copy()
    picture.thumbnail((LARGEST, LARGEST))
    return picture_text(picture)


@lru_cache(maxsize=8)
def read_picture(attack: str, option: str, value: str) -> Image.Image:
    """The picture that an option names or holds: RGBA. It is shared: copy it before you change it.

    Raises:
        ConfigError: It is neither a readable image file nor the text of a PNG.
    """
    try:
        with open_image(io.BytesIO(_data(value))) as image:
            return image.convert("RGBA")
    except (OSError, ValueError, binascii.Error, ByornError) as error:
        shown = value if len(value) <= 80 else f"{value[:77]}..."
        raise ConfigError(
            f"{attack}: {option} {shown!r} is no picture ({first_line(error)}); give a PNG file"
        ) from error


def _data(value: str) -> bytes:
    if value.startswith(PREFIX):
        return base64.b64decode(value.removeprefix(PREFIX), validate=True)
    return Path(value).expanduser().read_bytes()
