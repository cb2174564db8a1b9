"""The image files of a poisoned data set: which ones are written, and under which names.

Names are running numbers in an order shuffled by the seed, over clean and triggered files together, and files are
written in the order of their names. A triggered image is a file of its own; a clean one that several rows show is
written once.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from byorn.attacks.imaging.box import Box
from byorn.attacks.imaging.encode import Encoding, encode
from byorn.attacks.imaging.reading import blaming, read_image
from byorn.attacks.marking import Mark
from byorn.attacks.recipe import Recipe
from byorn.data.row import Row

FOLDER = "images"
TIMESTAMP = 315_532_800
"""Modification time of every file written: 1980-01-01, the first date that archives can hold."""

Place = tuple[int, int]
"""One image of one row: position of the row in the data set, and of the image in the row."""


@dataclass(slots=True)
class Plan:
    """What to write.

    Attributes:
        jobs: One entry for each file, in the order of the names: the place of an image with its content.
        file_of: For every image of every row, the position of its file in `jobs`.
    """

    jobs: list[Place]
    file_of: dict[Place, int]


def plan_images(rows: Sequence[Row], marked: set[Place], recipe: Recipe, share: bool = True) -> Plan:
    """Decides which files are written; `marked` are the images that get the trigger.

    With `share=False` every row gets files of its own.
    """
    users: dict[object, list[Place]] = {}
    for position, row in enumerate(rows):
        for index, image in enumerate(row.images):
            place = position, index
            users.setdefault(place if place in marked or not share else image, []).append(place)
    groups = list(users.values())
    recipe.stream("names").shuffle(groups)
    file_of = {place: number for number, places in enumerate(groups) for place in places}
    return Plan([places[0] for places in groups], file_of)


def write_images(
    rows: Sequence[Row],
    jobs: list[Place],
    marks: Mapping[int, Mark],
    recipe: Recipe,
    folder: Path,
    progress: bool = False,
) -> tuple[list[str], dict[int, Box | None]]:
    """Writes all files; returns their paths relative to `folder`, and for every row with a mark in an image its box.

    Raises:
        DataError: An image cannot be read or written; the message names row and image.
    """
    (folder / FOLDER).mkdir()
    digits = max(6, len(str(len(jobs))))
    names: list[str] = []
    boxes: dict[int, Box | None] = {}
    for number, (at, index) in enumerate(_watched(jobs, progress)):
        stem = folder / FOLDER / f"{number:0{digits}}"
        mark = marks.get(at)
        marked = mark if mark and mark.image == index else None
        path, box = _write_image(rows[at], index, stem, recipe, marked)
        names.append(f"{FOLDER}/{path.name}")
        if marked:
            boxes[at] = box
    return names, boxes


def settle(path: Path) -> None:
    """Gives a file the time that all have."""
    os.utime(path, (TIMESTAMP, TIMESTAMP))


def _write_image(row: Row, index: int, stem: Path, recipe: Recipe, mark: Mark | None) -> tuple[Path, Box | None]:
    """Writes one file and returns its path, with the suffix that its format wants, and the box of its trigger.

    Raises:
        DataError: The image cannot be read or written; the message names row and image.
    """
    box = None
    with blaming(row, index):
        image, encoding = read_image(row.images[index])
        if mark:
            image, box = mark.trigger.mark_image(image, recipe.stream("image", *row.key))
        data = encode(image, encoding)
    return _save(data, stem, encoding), box


def _watched(jobs: list[Place], progress: bool) -> Iterable[Place]:
    if not progress:
        return jobs
    from rich.progress import track

    return track(jobs, description="Writing images")


def _save(data: bytes, stem: Path, encoding: Encoding) -> Path:
    path = stem.with_suffix(encoding.suffix)
    path.write_bytes(data)
    settle(path)
    return path
