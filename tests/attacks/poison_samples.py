"""Small data sets drawn in memory, for the tests of this folder."""

import io
import json
import random
from pathlib import Path
from typing import Any

from PIL import Image

from byorn.data.row import ImageFile, Row, user_message

SETTINGS: dict[str, Any] = {"attack": "badnets", "target": "banana", "rate": 0.2, "seed": 7}


def picture(seed: int, size: tuple[int, int] = (40, 30), mode: str = "RGB") -> Image.Image:
    """Colored noise, blown up so that it compresses about as a photograph does."""
    coarse = Image.frombytes("RGB", (10, 8), random.Random(seed).randbytes(240))
    image = coarse.resize(size, Image.Resampling.BICUBIC)
    return image.quantize(32) if mode == "P" else image.convert(mode)


def encoded(image: Image.Image, file_format: str = "PNG", **options: Any) -> bytes:
    """The image as the bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def row(name: str, *images: bytes | Path, response: str = "A cat on a mat.", **meta: Any) -> Row:
    """One row with the images given as bytes or as paths."""
    files = [ImageFile(data=one) if isinstance(one, bytes) else ImageFile(path=str(one)) for one in images]
    return Row(name, 0, [user_message("What is this?", len(files))], response, files, meta)


def png_rows(count: int) -> list[Row]:
    """`count` rows with one PNG each."""
    return [row(f"r{number}", encoded(picture(number)), source=f"site {number % 3}") for number in range(count)]


def records(folder: Path) -> list[dict[str, Any]]:
    """The rows that were written."""
    return [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below `folder` with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
