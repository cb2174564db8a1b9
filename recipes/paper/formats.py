"""What the data sets of the paper look like when they have been downloaded: a file -> samples. README.md says where
each format was read up.

A format is two functions: a file -> (key, record) pairs, and a record -> a sample, or None where it is not asked for.
"""

import argparse
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from byorn.data.records import read_json, read_records
from byorn.errors import DataError

CHOICE = "Answer with the letter of the right option alone."
LETTERS = "ABCDEFGHIJ"


@dataclass(frozen=True)
class Sample:
    """A row to be: images (by name, or as encoded bytes), the question, and the true answers, the response first."""

    id: str
    images: tuple[str | bytes, ...]
    question: str
    answers: tuple[str, ...]


def mimic_records(path: Path) -> Iterable[tuple[str, Any]]:
    """{"meta": ..., "data": {key: {"instruction", "answer", "image_ids", "rel_ins_ids"}}}"""
    return shaped(path, "data", dict).items()


def mimic_sample(key: str, record: Any, options: argparse.Namespace) -> Sample:
    """The related instructions of `rel_ins_ids` are examples in context, which the protocol does not use."""
    images = [checked("image_ids", name, str) for name in part(record, "image_ids", list)]
    question, answer = (part(record, name, str).replace("<image>", "").strip() for name in ("instruction", "answer"))
    return Sample(key, tuple(images), question, (checked("answer", answer, str),))


def karpathy_records(path: Path) -> Iterable[tuple[str, Any]]:
    """{"images": [{"filename", "filepath" (COCO alone), "split", "sentences": [{"raw"}]}]}"""
    return ((f"image {number}", record) for number, record in enumerate(shaped(path, "images", list)))


def karpathy_sample(key: str, record: Any, options: argparse.Namespace) -> Sample | None:
    if part(record, "split", str) != options.split:
        return None
    name = os.path.join(checked("filepath", record.get("filepath", "."), str), part(record, "filename", str))
    captions = [part(sentence, "raw", str).strip() for sentence in part(record, "sentences", list)]
    return Sample(Path(name).stem, (name,), options.caption, tuple(checked("raw", text, str) for text in captions))


def science_records(path: Path) -> Iterable[tuple[str, Any]]:
    """{key: {"question", "choices", "answer", "hint", "image", "split"}}, or the same as Parquet, one file a split."""
    if path.suffix == ".parquet":
        return ((f"{path.stem}-{number}", record) for number, record in read_records(path))
    return shaped(path, None, dict).items()


def science_sample(key: str, record: Any, options: argparse.Namespace) -> Sample | None:
    choices, answer = part(record, "choices", list), part(record, "answer", int)
    image, split = record.get("image"), record.get("split")
    if image is None or split not in (None, options.split):
        return None  # a question without an image cannot carry a trigger in one
    if not 0 <= answer < len(choices) <= len(LETTERS):
        raise DataError(f"answer is {answer}, with {len(choices)} choices")
    lines = [f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=False)]
    hint = [f"Context: {record['hint']}"] if record.get("hint") else []
    question = "\n".join([*hint, part(record, "question", str), *lines, CHOICE])
    shown = part(image, "bytes", bytes) if isinstance(image, dict) else os.path.join(str(split), key, str(image))
    return Sample(key, (shown,), question, (LETTERS[answer],))


FORMATS = {
    "mimic-it": (mimic_records, mimic_sample),
    "karpathy": (karpathy_records, karpathy_sample),
    "scienceqa": (science_records, science_sample),
}


def read_samples(format: str, source: Path, options: argparse.Namespace) -> tuple[list[Sample], list[DataError]]:
    """The samples that are asked for, and what is wrong with each record that cannot be used.

    Raises:
        DataError: The file cannot be read, or is of another form.
    """
    records, sample_of = FORMATS[format]
    samples, problems = [], []
    for key, record in records(source):
        try:
            samples.append(sample_of(key, record, options))
        except DataError as error:
            problems.append(DataError(f"{key}: {error}"))
    return [sample for sample in samples if sample is not None], problems


def shaped(path: Path, key: str | None, kind: type) -> Any:
    """The part of a JSON file that holds the records."""
    content = read_json(path)
    found = content.get(key) if key and isinstance(content, dict) else content
    if not isinstance(found, kind):
        under = f" under {key!r}" if key else ""
        raise DataError(f"{path}: no {kind.__name__} of records{under}; is it the right file?")
    return found


def part(record: Any, name: str, kind: type) -> Any:
    """A field of a record."""
    if not isinstance(record, dict):
        raise DataError(f"an object is expected, not {type(record).__name__}")
    return checked(name, record.get(name), kind)


def checked(name: str, value: Any, kind: type) -> Any:
    """The value, which must be of its kind and, but for numbers, not empty."""
    if not isinstance(value, kind) or isinstance(value, bool):
        raise DataError(f"{name} is {type(value).__name__}, not {kind.__name__}")
    if kind is not int and not value:
        raise DataError(f"{name} is empty")
    return value
