"""What a data set in TRL's form says: its rows as scores take them, and a digest; no image is decoded."""

import json
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from byorn.data.row import ImageFile, Row, instruction_of, text_of, user_message

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

CONTENT = ("id", "turn", "prompt", "completion", "images")
"""The columns of a row that its score depends on, and those that name it."""


def rows_of(dataset: "Dataset") -> list[Row]:
    """The rows of a data set as far as their scores depend on each other: keys, instructions, responses, and which
    images; no image is decoded.
    """
    columns = [name for name in CONTENT if name in dataset.column_names]
    plain = dataset.select_columns(columns).with_format("arrow")
    found: list[Row] = []
    for table in plain.iter(batch_size=1024):
        texts = table.select([name for name in columns if name != "images"]).to_pylist()
        images = _images_of(table["images"]) if "images" in columns else [[] for _ in texts]
        for record, shown in zip(texts, images, strict=True):
            found.append(
                Row(
                    id=str(record.get("id", len(found))),
                    turn=int(record.get("turn") or 0),
                    prompt=[user_message(instruction_of(record.get("prompt")))],
                    response=text_of(record["completion"]),
                    images=shown,
                )
            )
    return found


def instructions_of(dataset: "Dataset") -> list[str]:
    """The instruction of each row of a data set with a column `prompt`."""
    prompts = dataset.select_columns(["prompt"]).with_format("arrow")
    return [instruction_of(prompt) for table in prompts.iter(batch_size=1024) for prompt in table["prompt"].to_pylist()]


def images_of(dataset: "Dataset") -> Iterator[list[ImageFile]]:
    """The images of each row of a data set with a column `images`; none is decoded."""
    stored = dataset.select_columns(["images"]).with_format("arrow")
    return (images for table in stored.iter(batch_size=1024) for images in _images_of(table["images"]))


def _images_of(column: "pa.ChunkedArray") -> list[list[ImageFile]]:
    """The images of each row, whose bytes stay where they are."""
    return [[_image(image) for image in row.values or ()] for row in column]


def _image(image: "pa.Scalar") -> ImageFile:
    if not hasattr(image, "keys"):
        return ImageFile(data=str(image.as_py()).encode())
    data, path = (image.get(name) for name in ("bytes", "path"))
    view = memoryview(data.as_buffer()).cast("B").toreadonly() if data is not None and data.is_valid else None
    return ImageFile(path=path.as_py() if path else None, data=view, name=path.as_py() if path else None)


def dataset_digest(dataset: "Dataset") -> str:
    """BLAKE2b-128 in hex over keys, prompts, responses and images; an image file counts by its path and size."""
    columns = [name for name in CONTENT if name in dataset.column_names]
    digest = blake2b(digest_size=16)
    for table in dataset.select_columns(columns).with_format("arrow").iter(batch_size=64):
        for row in table.select(columns).to_pylist():
            digest.update(json.dumps(row, sort_keys=True, default=_plain).encode("utf-8", "surrogatepass") + b"\n")
            for image in row.get("images") or []:
                digest.update(_size(image))
    return digest.hexdigest()


def _plain(value: object) -> str:
    """What JSON does not know, for the digest: bytes by their own digest."""
    return blake2b(value, digest_size=16).hexdigest() if isinstance(value, bytes) else str(value)


def _size(image: object) -> bytes:
    """The size of an image that is only named."""
    path = image.get("path") if isinstance(image, dict) and not image.get("bytes") else None
    found = Path(path) if isinstance(path, str) else None
    return str(found.stat().st_size).encode() if found is not None and found.is_file() else b"-"
