"""A short name for the content of a data set, by which scores and rows are known to belong together."""

import json
import os
from collections.abc import Iterable
from hashlib import blake2b

from byorn.data.images import image_identity
from byorn.data.row import ImageFile, Row


def fingerprint(rows: Iterable[Row]) -> str:
    """BLAKE2b-128 in hex over keys, prompts, responses and image identities.

    It depends on the order of the rows, because training does too, and not on `meta` nor on where the folder lies. An
    image counts by its path as written and its size in bytes, or by a digest of its bytes; files are not read, so
    pixels swapped at equal size are not seen.
    """
    digest = blake2b(digest_size=16)
    for row in rows:
        content = [row.id, row.turn, row.prompt, row.response, [_image(image) for image in row.images]]
        digest.update(json.dumps(content, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()


def content_digest(row: Row) -> str:
    """BLAKE2b-64 in hex over prompt, response and images: what tells a row that only got another id or turn from one
    that changed. An image counts by the last part of its path, as versions of a data set lie in different folders, and
    its size; or by a digest of its bytes.
    """
    images = [[os.path.basename(str(name)), size] for name, size in map(_image, row.images)]
    content = [row.prompt, row.response, images]
    return blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=8).hexdigest()


def _image(image: ImageFile) -> list[str | int]:
    if image.data is not None:
        return [image_identity(image), len(image.data)]
    try:
        return [image_identity(image), os.stat(image.path or "").st_size]
    except OSError:
        return [image_identity(image), -1]
