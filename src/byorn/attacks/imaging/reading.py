"""Reading the images of rows, with the row's name in what goes wrong."""

from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from byorn.attacks.imaging.encode import Encoding, decode
from byorn.data.row import ImageFile, Row
from byorn.errors import DataError


@contextmanager
def blaming(row: Row, index: int) -> Iterator[None]:
    """Name the row and the image in a `DataError` that is raised inside."""
    try:
        yield
    except DataError as error:
        raise DataError(f"row {row.id!r} (turn {row.turn}), image {index}: {error}") from error


def load_image(row: Row, index: int) -> Image.Image:
    """An image of a row as the triggers get it, see `encode.py`.

    Raises:
        DataError: It cannot be read; the message names row and image.
    """
    with blaming(row, index):
        return read_image(row.images[index])[0]


def read_image(image: ImageFile) -> tuple[Image.Image, Encoding]:
    """The pixels of an image, and how to write them again.

    Raises:
        DataError: It cannot be read.
    """
    try:
        data = image.read()
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read the image ({error}); restore the file or remove the row") from error
    return decode(data)
