"""A short name for the content of a data set, by which scores and rows are known to belong together."""

import json
import os
from collections.abc import Callable, Iterable
from functools import lru_cache
from hashlib import blake2b

from byorn.data.images import image_identity
from byorn.data.row import ImageFile, Row

_encode = json.JSONEncoder(sort_keys=True).encode


def fingerprint(rows: Iterable[Row]) -> str:
    """BLAKE2b-128 in hex over keys, prompts, responses and image identities.

    It depends on the order of the rows, because training does too, and not on `meta` nor on where the folder lies. An
    image counts by its path as written and its size in bytes, or by a digest of its bytes; files are not read, so
    pixels swapped at equal size are not seen.
    """
    found = Fingerprint()
    for row in rows:
        found.add(row)
    return found.hexdigest()


class Fingerprint:
    """The `fingerprint` of rows that come one at a time."""

    def __init__(self) -> None:
        self._digest = blake2b(digest_size=16)
        self._size = lru_cache(maxsize=1024)(_size_of)  # many rows may show one file, which is asked once

    def add(self, row: Row) -> None:
        images = [_image(image, self._size) for image in row.images]
        content = [row.id, row.turn, row.prompt, row.response, images]
        self._digest.update(_encode(content).encode() + b"\n")

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


def content_digest(row: Row) -> str:
    """BLAKE2b-64 in hex over prompt, response and images: what tells a row that only got another id or turn from one
    that changed. An image counts by the last part of its path, as versions of a data set lie in different folders, and
    its size; or by a digest of its bytes.
    """
    images = [[os.path.basename(str(name).removeprefix("path:")), size] for name, size in map(_image, row.images)]
    content = [row.prompt, row.response, images]
    return blake2b(_encode(content).encode(), digest_size=8).hexdigest()


def _image(image: ImageFile, size_of: Callable[[str], int] | None = None) -> list[str | int]:
    if image.data is not None:
        return [image_identity(image), len(image.data)]
    return [image_identity(image), (size_of or _size_of)(image.path or "")]


def _size_of(path: str) -> int:
    """In bytes; -1 where there is no such file."""
    try:
        return os.stat(path).st_size
    except OSError:
        return -1
