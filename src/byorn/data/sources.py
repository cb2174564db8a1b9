"""What the user points at -> records, the folder of their images, and a reader where the source itself names one.

A file; a folder (a `datasets` directory, LLaMA-Factory's `data/`, an image folder with metadata, or data files as the
Hub lays them out); or a data set on the Hub, which is the only source that is fetched. Nothing in a folder makes byorn
fetch anything, unless `kind` is `hub`. One name may stand for several sources: `--name mm,pairs` for entries of
LLaMA-Factory's `dataset_info.json`.
"""

import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

from byorn.data.image_folder import find_metadata, rows_of_split
from byorn.data.inside import name_inside
from byorn.data.layout import data_files, files_of_split
from byorn.data.readers.llamafactory import reader_for
from byorn.data.readers.reader import Reader
from byorn.data.records import SUFFIXES, NumberedRecords, read_json, read_records
from byorn.data.row import Origin
from byorn.data.tables import HubSplit, hub_roots, is_saved, require_no_split, saved_records, saved_split
from byorn.errors import DataError
from byorn.text import shown

CONTAINERS = ("llamafactory", "datasets", "imagefolder", "hub")
Records = Iterator[tuple[Origin, object]]
Notify = Callable[[str], None]
_HUB_NAME = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")
# Where entries of dataset_info.json may point to, besides file_name and hf_hub_url.
_ELSEWHERE = ("hf_hub_url", "ms_hub_url", "om_hub_url", "script_url", "cloud_file_name")
_OTHER_SUFFIXES = (".arrow", ".csv", ".gz", ".tsv", ".txt", ".yaml", ".yml", ".zip")
_NEARLY = 0.8  # `dta` and `data`, `Data` and `data`; not `lmms-lab` and `lab`
_INFO = "dataset_info.json"
_warn = logging.getLogger(__name__).warning


@dataclass(frozen=True)
class DataFile:
    """A file of records, or a folder that `save_to_disk` wrote.

    Attributes:
        source: What the `origin` of its rows calls it.
        path: Where it lies.
        name: Its place in the data folder, with slashes; empty for the folder itself.
    """

    source: str
    path: Path
    name: str


@dataclass
class Source:
    """Records and where their images lie; relative paths start at the first of `roots`.

    `files` is where the records come from, or `hub`; `entry` the name and content of the entry of `dataset_info.json`,
    where there is one.
    """

    records: Records
    where: str
    roots: list[Path]
    reader: Reader | None = None
    notes: list[str] = field(default_factory=list)
    files: list[DataFile] = field(default_factory=list)
    entry: tuple[str, Mapping[str, object]] | None = None
    hub: HubSplit | None = None


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
    if online and _exists(text) and (path / _INFO).is_file():
        return _open_llamafactory(path, name, split, notify, online)
    if text.startswith("hub:") or online or looks_like_hub(text):
        return [_open_hub(text.removeprefix("hub:"), name, split, notify)]
    if "://" in text:
        raise DataError(f"{shown(text)}: URLs are not fetched; download the data first")
    if not _exists(text):
        raise DataError(
            f"{text}: no such file or folder{_beside(path)}; correct the path, or write hub:owner/name for the Hub"
        )
    if path.is_dir():
        return _open_folder(path, kind, name, split)
    if kind in CONTAINERS or name is not None:
        raise DataError(
            f"{text}: a file holds no {kind if kind in CONTAINERS else 'named entries'}; point to its folder"
        )
    return [_open_files([path], path.parent, f"{path.name}: one file")]


def looks_like_hub(text: str) -> bool:
    """Whether a name can only mean a data set on the Hub, and no path with a typing error.

    It is `owner/name` without the suffix of a data file, and no file or folder here is called `owner`, or nearly so.
    """
    return (
        _HUB_NAME.fullmatch(text) is not None
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
    if kind in ("auto", "datasets") and is_saved(folder):
        return [_open_saved(folder, split)]
    if kind != "imagefolder" and (folder / _INFO).is_file():
        return _open_llamafactory(folder, name, split)
    if kind in ("datasets", "llamafactory"):
        raise DataError(f"{folder}: no {_INFO} for {kind!r}; correct the folder, or leave the format out")
    metadata = find_metadata(folder, split) if name is None else None
    if metadata is not None:
        return [_open_images(folder, metadata, split)]
    if kind == "imagefolder":
        raise DataError(f"{folder}: no metadata.jsonl; add one with file_name and a text column")
    if name is None and (folder / "rows.jsonl").is_file():
        require_no_split(folder, split)
        return [_open_files([folder / "rows.jsonl"], folder, "rows.jsonl: rows in the form that byorn writes")]
    files = files_of_split(folder, name, split)
    listed = ", ".join(file.relative_to(folder).as_posix() for file in files[:10])
    return [_open_files(files, folder, f"files of split {split!r}: {listed}{', ...' if len(files) > 10 else ''}")]


def _open_images(folder: Path, metadata: Path, split: str) -> Source:
    wanted, note = rows_of_split(folder, split) if metadata.parent == folder else (None, "")
    opened = _open_files([metadata], metadata.parent, f"image folder: {metadata.name} found{note}")
    if wanted is None:
        return opened
    return replace(opened, records=((origin, record) for origin, record in opened.records if wanted(record)))


def _open_files(files: Sequence[Path], root: Path, note: str, entry: str = "") -> Source:
    where = str(files[0]) if len(files) == 1 else str(root)
    names = [name_inside(file, root) for file in files]
    listed = [DataFile(entry + name, file, name) for name, file in zip(names, files, strict=True)]
    return Source(_chained(listed), where, [root.resolve()], notes=[note], files=listed)


def _chained(files: Sequence[DataFile]) -> Records:
    for file in files:
        yield from _placed(read_records(file.path), file.source)


def _placed(records: NumberedRecords, source: str) -> Records:
    return ((Origin(source, number), record) for number, record in records)


def _open_llamafactory(
    folder: Path, names: str | None, split: str, notify: Notify = _warn, online: bool = False
) -> list[Source]:
    """The sources of entries; only `online` lets them name data sets on the Hub."""
    info = read_json(folder / _INFO)
    entries = {key: value for key, value in info.items() if isinstance(value, dict)} if isinstance(info, dict) else {}
    chosen = list(entries) if names is None and len(entries) == 1 else _listed(names, entries)
    unknown = [name for name in chosen if name not in entries]
    if unknown or not chosen:
        known = ", ".join(shown(key)[1:-1] for key in sorted(entries)[:20]) or "none"
        asked = f"no entry {shown(unknown[0])};" if unknown else "which entry?"
        raise DataError(f"{folder}/{_INFO}: {asked} pass a name out of: {known}")
    return [_open_entry(folder, name, entries[name], split, notify, online) for name in chosen]


def _listed(names: str | None, entries: Mapping[str, object]) -> list[str]:
    """The names in a list joined by commas, as in LLaMA-Factory's `dataset: mm,pairs`."""
    if names is None or names in entries:
        return [] if names is None else [names]
    return [name.strip() for name in names.split(",") if name.strip()]


def _open_entry(
    folder: Path, name: str, entry: Mapping[str, object], split: str, notify: Notify, online: bool
) -> Source:
    where = f"{folder}/{_INFO}, {shown(name)}"
    reader = reader_for(name, entry)
    opened = _records_of_entry(folder, name, entry, split, notify, online)
    notes = [f"entry {shown(name)} of {_INFO}", *opened.notes]
    return _first_samples(
        replace(opened, reader=reader, notes=notes, entry=(name, entry)), entry.get("num_samples"), where
    )


def _records_of_entry(
    folder: Path, name: str, entry: Mapping[str, object], split: str, notify: Notify, online: bool
) -> Source:
    """The records of an entry: a file or folder beside `dataset_info.json`, or a data set on the Hub."""
    where = f"{folder}/{_INFO}, {shown(name)}"
    file = entry.get("file_name")
    if isinstance(file, str):
        return _open_files(_files_of(folder, file, where), folder, f"file_name {shown(file)}", f"{shown(name)[1:-1]}:")
    repository = _require_on_hub(entry, where, online)
    subset, part, inside = (_text_or_none(entry, key, where) for key in ("subset", "split", "folder"))
    return _open_hub(repository, subset, part or split, notify, inside, f"{shown(name)[1:-1]}:")


def _require_on_hub(entry: Mapping[str, object], where: str, online: bool) -> str:
    """The data set on the Hub that an entry names; a `DataError` unless `online` allows it."""
    repository = entry.get("hf_hub_url")
    on_hub = isinstance(repository, str) and _HUB_NAME.fullmatch(repository) is not None
    if on_hub and online:
        return str(repository)
    kind = next((key for key in _ELSEWHERE if entry.get(key)), None)
    found = f"{kind} is not fetched" if kind else "no file_name"
    allow = "add --format hub to fetch it, or " if on_hub else ""
    raise DataError(f"{where}: {found}; {allow}download the data into the folder and name them in file_name")


def _text_or_none(entry: Mapping[str, object], key: str, where: str) -> str | None:
    value = entry.get(key) or None
    if value is not None and not isinstance(value, str):
        raise DataError(f"{where}: {key} must be a text; correct the entry")
    return value


def _first_samples(opened: Source, count: object, where: str) -> Source:
    """The first `num_samples` records; LLaMA-Factory draws as many at random."""
    if count is None:
        return opened
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= sys.maxsize:
        raise DataError(f"{where}: num_samples must be a positive number; correct the entry")
    note = f"num_samples: the first {count} records (LLaMA-Factory draws them at random)"
    return replace(opened, records=islice(opened.records, count), notes=[*opened.notes, note])


def _files_of(folder: Path, name: str, where: str) -> list[Path]:
    try:
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise DataError(f"{where}: file_name leaves the folder; move the file into it")
        files = data_files(path) if path.is_dir() else [path]
        if files and files[0].is_file():
            return files
    except (OSError, ValueError, RuntimeError):  # too long, a NUL character, links in a circle
        pass
    raise DataError(f"{where}: no data file {shown(name)}; correct file_name")


def _open_saved(folder: Path, split: str) -> Source:
    target = saved_split(folder, split)
    note = "datasets directory (save_to_disk)" + (f", split {split!r}" if target != folder else "")
    file = DataFile(target.relative_to(folder.parent).as_posix(), target, target.relative_to(folder).as_posix())
    records = _placed(saved_records(target), file.source)
    return Source(records, str(folder), [folder.resolve()], notes=[note], files=[file])


def _open_hub(
    repository: str, config: str | None, split: str, notify: Notify, folder: str | None = None, entry: str = ""
) -> Source:
    if not _HUB_NAME.fullmatch(repository) and not re.fullmatch(r"[\w][\w.-]*", repository):
        raise DataError(f"hub:{shown(repository)}: not a name of the Hub; write hub:owner/name")
    hub = HubSplit(entry + repository, repository, config, split, folder)
    records = _placed(hub.records(notify), hub.source)
    note = f"{repository} is no local path: split {shown(split)} taken from the Hub"
    return Source(records, f"hub:{repository}", hub_roots(), notes=[note], hub=hub)
