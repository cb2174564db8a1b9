"""easy-VQA (the PyPI package `easy-vqa`, MIT license) as TRL rows: 4,000 + 1,000 drawn images with 48,248 questions.

The package's own files are read; no pixel is changed. A question becomes the instruction, its one-word answer the
response.
"""

import json
import random
from importlib.util import find_spec
from pathlib import Path

from byorn.data.row import ImageFile, Row, user_message
from byorn.errors import DataError


def package_data() -> Path:
    """The data folder of the installed package.

    Raises:
        DataError: The package is not installed.
    """
    spec = find_spec("easy_vqa")
    if spec is None or not spec.origin:
        raise DataError("easy-vqa is not installed; run `pip install easy-vqa`")
    return Path(spec.origin).parent / "data"


def read_rows(split: str, count: int, seed: int) -> list[Row]:
    """`count` questions of a split (`train` or `test`), drawn at random."""
    folder = package_data() / split
    entries = list(enumerate(json.loads((folder / "questions.json").read_text())))
    chosen = random.Random(seed).sample(entries, count)
    return [_row(split, number, entry, folder / "images") for number, entry in chosen]


def _row(split: str, number: int, entry: tuple[str, str, int], images: Path) -> Row:
    question, answer, image = entry
    return Row(
        id=f"easy-vqa-{split}-{number}",
        turn=0,
        prompt=[user_message(question, images=1)],
        response=answer,
        images=[ImageFile(str(images / f"{image}.png"))],
        meta={"image": image},
    )
