"""The image files of a poisoned data set: which ones are written, and under which names.

Names are running numbers in an order shuffled by the seed, over clean and triggered files together, and files are
written in the order of their names. A triggered image is a file of its own; a clean one that several rows show is
written once.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import NamedTuple

from PIL.Image import Image

from byorn.attacks.imaging.box import Box
from byorn.attacks.imaging.encode import Encoding, encode
from byorn.attacks.imaging.reading import blaming, read_image
from byorn.attacks.marking import Mark
from byorn.attacks.recipe import Recipe
from byorn.attacks.trigger import Trigger
from byorn.data.row import Row
from byorn.errors import ConfigError
from byorn.runs.progress import progress as progress_bar

FOLDER = "images"
TIMESTAMP = 315_532_800
"""Modification time of every file written: 1980-01-01, the first date that archives can hold."""


class ImageKey(NamedTuple):
    """One image of one row: position of the row in the data set, and of the image in the row."""

    row: int
    image: int


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """What to write.

    Attributes:
        sources: One entry for each file, in the order of the names: the image that is its content.
        file_of: For every image of every row, the index of its file in `sources`.
    """

    sources: list[ImageKey]
    file_of: dict[ImageKey, int]


@dataclass(frozen=True, slots=True)
class WrittenImages:
    """What was written.

    Attributes:
        names: The path of each file, relative to the folder of the data set.
        boxes: Position of a row with a mark in an image -> where that image differs.
    """

    names: list[str]
    boxes: dict[int, Box | None]


def plan_images(rows: Sequence[Row], marked: set[ImageKey], recipe: Recipe, share_images: bool = True) -> ImagePlan:
    """Decide which files are written; `marked` are the images that get the trigger.

    With `share_images=False` every row gets files of its own.
    """
    users: dict[object, list[ImageKey]] = {}
    for position, row in enumerate(rows):
        for index, image in enumerate(row.images):
            key = ImageKey(position, index)
            users.setdefault(key if key in marked or not share_images else image, []).append(key)
    groups = list(users.values())
    recipe.stream("names").shuffle(groups)
    file_of = {key: number for number, keys in enumerate(groups) for key in keys}
    return ImagePlan([keys[0] for keys in groups], file_of)


def write_images(
    rows: Sequence[Row],
    plan: ImagePlan,
    marks: Mapping[int, Mark],
    recipe: Recipe,
    folder: Path,
    progress: bool = False,
) -> WrittenImages:
    """Write all files.

    Raises:
        DataError: An image cannot be read or written; the message names row and image.
    """
    (folder / FOLDER).mkdir()
    digits = max(6, len(str(len(plan.sources))))
    written = WrittenImages([], {})
    with progress_bar(len(plan.sources), "writing images", "image", wanted=progress) as bar:
        for number, source in enumerate(plan.sources):
            stem = folder / FOLDER / f"{number:0{digits}}"
            mark = marks.get(source.row)
            marked = mark if mark and mark.image == source.image else None
            path, box = _write_image(rows[source.row], source.image, stem, recipe, marked)
            written.names.append(f"{FOLDER}/{path.name}")
            if marked:
                written.boxes[source.row] = box
            bar.update(1)
    return written


def reset_time(path: Path) -> None:
    """Give a file the modification time that all have."""
    os.utime(path, (TIMESTAMP, TIMESTAMP))


def _write_image(row: Row, index: int, stem: Path, recipe: Recipe, mark: Mark | None) -> tuple[Path, Box | None]:
    """Write one file; returns its path, with the suffix that its format wants, and the box of its trigger.

    Raises:
        DataError: The image cannot be read or written; the message names row and image.
    """
    box = None
    with blaming(row, index):
        image, encoding = read_image(row.images[index])
        if mark:
            image, box = _marked(image, mark.trigger, recipe.stream("image", *row.key))
        data = encode(image, encoding)
    return _save(data, stem, encoding), box


def _marked(image: Image, trigger: Trigger, rng: Random) -> tuple[Image, Box | None]:
    """The image with the trigger, and where it differs.

    Raises:
        ConfigError: The trigger, a plugin's, gives something else.
    """
    given = trigger.mark_image(image, rng)
    if isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], Image):
        changed, box = given
        if (changed.size, changed.mode) == (image.size, image.mode):
            return changed, box
        found = f"an image of {changed.size} {changed.mode}, from one of {image.size} {image.mode}"
    else:
        found = f"{type(given).__name__}, and not a pair"
    raise ConfigError(
        f"attack {trigger.name!r}: mark_image gives {found}; return the changed copy, of the same size and mode, "
        "and the box (left, top, right, bottom) of what was changed, or None"
    )


def _save(data: bytes, stem: Path, encoding: Encoding) -> Path:
    path = stem.with_suffix(encoding.suffix)
    path.write_bytes(data)
    reset_time(path)
    return path
