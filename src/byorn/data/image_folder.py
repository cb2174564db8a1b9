"""An image folder, as Hugging Face lays it out: images, and a `metadata.jsonl` or `metadata.parquet` that names them.

The metadata lie in the folder of each split (`train/`, `test/`), or above those folders; then the folder of its image
says which split a row is of, and a row without one is of `train`.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from byorn.data.layout import split_called, split_of_folder
from byorn.data.readers.columns import image_column, images_in
from byorn.data.tables import require_no_split
from byorn.errors import DataError
from byorn.text import shown

METADATA = ("metadata.jsonl", "metadata.parquet")


def find_metadata(folder: Path, split: str) -> Path | None:
    """The metadata of a split: in the folder of the split, under any of its names, else in the folder itself."""
    own = [folder / name for name, called in split_folders(folder).items() if called == split_called(split)]
    places = (place / name for place in (folder / split, *own, folder) for name in METADATA)
    return next((file for file in places if _is_file(file)), None)


def rows_of_split(folder: Path, split: str) -> tuple[Callable[[object], bool] | None, str]:
    """Which records of metadata above the splits are of one of them, and a note that says so; None: all of them.

    Raises:
        DataError: No such split.
    """
    folders = split_folders(folder)
    wanted = split_called(split)
    if not folders:
        require_no_split(folder, split)
        return None, ""
    if wanted not in {"train", *folders.values()}:
        raise DataError(f"{folder}: no split {shown(split)}; use one of {', '.join(sorted(set(folders.values())))}")
    left_out = ", ".join(f"{name}/" for name, called in folders.items() if called != wanted)
    note = f"; its rows of images in {left_out} are of another split than {split!r} and left out" if left_out else ""
    return lambda record: folders.get(_top_folder(record, folder), "train") == wanted, note


def split_folders(folder: Path) -> dict[str, str]:
    """The folders inside that are called as a split is, each with that split; where those of a training stand beside
    those of another split, also with more in their names, `train2017` and `val2017`.
    """
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    like = {name: split for name in names if (split := split_of_folder(name))}
    if "train" in like.values() and len(set(like.values())) > 1:
        return like
    return {name: split for name, split in like.items() if split_called(name) == split}


def _top_folder(record: object, folder: Path) -> str:
    """The first folder below `folder` in the path of a record's first image; empty without one."""
    images: Iterator[object] = iter(images_in(record, image_column(record)) if isinstance(record, dict) else [])
    path = next(images, None)
    if not isinstance(path, str):
        return ""
    first, *more = os.path.relpath(os.path.join(folder, path), folder).split(os.sep)
    return first if more else ""


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False
