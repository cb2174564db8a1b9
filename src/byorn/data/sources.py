"""What the user points at -> records, the folder of their images, and a reader where the source itself names one.

A file; a folder (a `datasets` directory, LLaMA-Factory's `data/`, an image folder with metadata, or data files as the
Hub lays them out); or a data set on the Hub, which is the only source that is fetched. Nothing in a folder makes byorn
fetch anything, unless `kind` is `hub`. One name may stand for several sources: `--name mm,pairs` for entries of
LLaMA-Factory's `dataset_info.json`.
"""

import logging
import os
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from byorn.data.entries import INFO, open_entries
from byorn.data.image_folder import find_metadata, rows_of_split
from byorn.data.layout import files_of_split, require_whole
from byorn.data.opened import HUB_NAME, DataFile, Notify, Source, open_files, open_hub, placed
from byorn.data.records import SUFFIXES
from byorn.data.tables import is_saved, require_no_split, saved_records, saved_split
from byorn.errors import DataError
from byorn.text import shown

CONTAINERS = ("llamafactory", "datasets", "imagefolder", "hub")
_OTHER_SUFFIXES = (".arrow", ".csv", ".gz", ".tsv", ".txt", ".yaml", ".yml", ".zip")
_NEARLY = 0.8  # `dta` and `data`, `Data` and `data`; not `lmms-lab` and `lab`
_warn = logging.getLogger(__name__).warning


def open_source(
    source: str | Path, kind: str = "auto", name: str | None = None, split: str = "train", notify: Notify = _warn
) -> list[Source]:
    """The sources that a file, a folder or a Hub data set stands for; several where `name` lists several entries.

    Args:
        source: A path, `owner/name` or `hub:owner/name`.
        kind: One of `CONTAINERS` to insist on it; anything else: by content. `hub` for a folder with a
            `dataset_info.json` allows its entries to name data sets on the Hub.
        name: The entries of a LLaMA-Factory folder, joined by commas, or the configuration of a Hub data set or folder.
        split: The split, where the source has splits.
        notify: Called with one line before the Hub is asked, which is when the first record is.

    Raises:
        DataError: Nothing there, or nothing that can be read.
    """
    text = str(source)
    path = Path(source)
    online = kind == "hub"
    if online and _exists(text) and (path / INFO).is_file():
        return open_entries(path, name, split, notify, online)
    if text.startswith("hub:") or online or looks_like_hub(text):
        return [open_hub(text.removeprefix("hub:"), name, split, notify)]
    if "://" in text:
        raise DataError(f"{shown(text)}: URLs are not fetched; download the data first")
    if not _exists(text):
        raise DataError(
            f"{text}: no such file or folder{_beside(path)}; correct the path, or write hub:owner/name for the Hub"
        )
    if path.is_dir():
        return _open_folder(path, kind, name, split)
    if kind in CONTAINERS or name is not None:
        lacking, fix = (kind, "") if kind in CONTAINERS else (f"entry {shown(name)}", ", or leave the name out")
        raise DataError(f"{text}: a file holds no {lacking}; point to its folder{fix}")
    return [open_files([path], path.parent, f"{path.name}: one file")]


def looks_like_hub(text: str) -> bool:
    """Whether a name can only mean a data set on the Hub, and no path with a typing error.

    It is `owner/name` without the suffix of a data file, and no file or folder here is called `owner`, or nearly so.
    """
    return (
        HUB_NAME.fullmatch(text) is not None
        and Path(text).suffix.lower() not in (*SUFFIXES, *_OTHER_SUFFIXES)
        and not os.path.lexists(text.split("/")[0])
        and _nearest(text.split("/")[0]) is None
    )


def _nearest(name: str) -> str | None:
    """The file or folder here whose name is nearly this one."""
    here = {entry.lower(): entry for entry in os.listdir()}
    close = get_close_matches(name.lower(), here, n=1, cutoff=_NEARLY)
    return here[close[0]] if close else None


def _exists(text: str) -> bool:
    try:
        return os.path.exists(text)
    except ValueError:  # a NUL character
        return False


def _beside(path: Path) -> str:
    """What lies in the folder of a path that does not exist, or the folder that may be meant."""
    first = path.parts[0] if len(path.parts) > 1 else ""
    if first and not os.path.lexists(first) and (near := _nearest(first)):
        return f" (did you mean {shown(near)}?)"
    try:
        found = sorted(name for name in os.listdir(path.parent) if not name.startswith("."))
    except (OSError, ValueError):
        return ""
    return f" ({path.parent} holds {', '.join(shown(name) for name in found[:10])})" if found else ""


def _open_folder(folder: Path, kind: str, name: str | None, split: str) -> list[Source]:
    require_whole(folder)
    if kind in ("auto", "datasets") and is_saved(folder):
        return [_open_saved(folder, split)]
    if kind != "imagefolder" and (folder / INFO).is_file():
        return open_entries(folder, name, split, _warn)
    if kind in ("datasets", "llamafactory"):
        raise DataError(f"{folder}: no {INFO} for {kind!r}; correct the folder, or leave the format out")
    metadata = find_metadata(folder, split) if name is None else None
    if metadata is not None:
        return [_open_images(folder, metadata, split)]
    if kind == "imagefolder":
        raise DataError(f"{folder}: no metadata.jsonl; add one with file_name and a text column")
    if name is None and (folder / "rows.jsonl").is_file():
        require_no_split(folder, split)
        return [open_files([folder / "rows.jsonl"], folder, "rows.jsonl: rows in the form that byorn writes")]
    files = files_of_split(folder, name, split)
    listed = ", ".join(file.relative_to(folder).as_posix() for file in files[:10])
    return [open_files(files, folder, f"files of split {split!r}: {listed}{', ...' if len(files) > 10 else ''}")]


def _open_images(folder: Path, metadata: Path, split: str) -> Source:
    wanted, note = rows_of_split(folder, split) if metadata.parent == folder else (None, "")
    opened = open_files([metadata], metadata.parent, f"image folder: {metadata.name} found{note}")
    if wanted is None:
        return opened
    return replace(opened, records=((origin, record) for origin, record in opened.records if wanted(record)))


def _open_saved(folder: Path, split: str) -> Source:
    target = saved_split(folder, split)
    note = "datasets directory (save_to_disk)" + (f", split {split!r}" if target != folder else "")
    file = DataFile(target.relative_to(folder.parent).as_posix(), target, target.relative_to(folder).as_posix())
    records = placed(saved_records(target), file.source)
    return Source(records, str(folder), [folder.resolve()], notes=[note], files=[file])
