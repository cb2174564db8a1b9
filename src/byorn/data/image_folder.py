"""An image folder, as Hugging Face lays it out: images, and a `metadata.jsonl` or `metadata.parquet` that names them.

The metadata lie in the folder of each split (`train/`, `test/`), or above those folders; then the folder of its image
says which split a row is of, and a row without one is of `train`.
"""

from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from byorn.data.layout import split_called
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
    return lambda record: folders.get(_top_folder(record), "train") == wanted, note


def split_folders(folder: Path) -> dict[str, str]:
    """The folders inside that are called as a split is, each with that split."""
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    return {name: split_called(name) for name in names if split_called(name) in ("train", "validation", "test")}


def _top_folder(record: object) -> str:
    """The first folder in the path of a record's first image; empty without one."""
    images: Iterator[object] = iter(images_in(record, image_column(record)) if isinstance(record, dict) else [])
    path = next(images, None)
    parts = PurePosixPath(path).parts if isinstance(path, str) else ()
    return next((part for part in parts[:-1] if part != "."), "")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False
