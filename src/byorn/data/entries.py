"""LLaMA-Factory's `dataset_info.json`: the sources of its entries, which are files beside it, or data sets on the Hub.

Honored here: `file_name`, `hf_hub_url`, `subset`, `split`, `folder`, `num_samples`; how records are read is up to
`byorn.data.readers.llamafactory`. One name may stand for several entries: `--name mm,pairs`.
"""

import sys
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path

from byorn.data.layout import data_files
from byorn.data.opened import HUB_NAME, Notify, Source, open_files, open_hub
from byorn.data.readers.llamafactory import reader_for
from byorn.data.records import read_json
from byorn.errors import DataError
from byorn.text import shown

INFO = "dataset_info.json"
# Where entries may point to, besides file_name and hf_hub_url.
_ELSEWHERE = ("hf_hub_url", "ms_hub_url", "om_hub_url", "script_url", "cloud_file_name")


def open_entries(folder: Path, names: str | None, split: str, notify: Notify, online: bool = False) -> list[Source]:
    """The sources of entries.

    Args:
        folder: Where `dataset_info.json` lies.
        names: The entries, joined by commas; None where there is one.
        split: Of those on the Hub that name none.
        notify: Called with one line before the Hub is asked.
        online: Lets entries name data sets on the Hub.

    Raises:
        DataError: No such entry, or one that cannot be read.
    """
    info = read_json(folder / INFO)
    entries = {key: value for key, value in info.items() if isinstance(value, dict)} if isinstance(info, dict) else {}
    chosen = list(entries) if names is None and len(entries) == 1 else _listed(names, entries)
    unknown = [name for name in chosen if name not in entries]
    if unknown or not chosen:
        known = ", ".join(shown(key)[1:-1] for key in sorted(entries)[:20]) or "none"
        asked = f"no entry {shown(unknown[0])};" if unknown else "which entry?"
        raise DataError(f"{folder}/{INFO}: {asked} pass a name out of: {known}")
    return [_open_entry(folder, name, entries[name], split, notify, online) for name in chosen]


def _listed(names: str | None, entries: Mapping[str, object]) -> list[str]:
    """The names in a list joined by commas, as in LLaMA-Factory's `dataset: mm,pairs`."""
    if names is None or names in entries:
        return [] if names is None else [names]
    return [name.strip() for name in names.split(",") if name.strip()]


def _open_entry(
    folder: Path, name: str, entry: Mapping[str, object], split: str, notify: Notify, online: bool
) -> Source:
    where = f"{folder}/{INFO}, {shown(name)}"
    reader = reader_for(name, entry)
    opened = _records_of_entry(folder, name, entry, split, notify, online)
    notes = [f"entry {shown(name)} of {INFO}", *opened.notes]
    return _first_samples(
        replace(opened, reader=reader, notes=notes, entry=(name, entry)), entry.get("num_samples"), where
    )


def _records_of_entry(
    folder: Path, name: str, entry: Mapping[str, object], split: str, notify: Notify, online: bool
) -> Source:
    """The records of an entry: a file or folder beside `dataset_info.json`, or a data set on the Hub."""
    where = f"{folder}/{INFO}, {shown(name)}"
    file = entry.get("file_name")
    if isinstance(file, str):
        return open_files(_files_of(folder, file, where), folder, f"file_name {shown(file)}", f"{shown(name)[1:-1]}:")
    repository = _require_on_hub(entry, where, online)
    subset, part, inside = (_text_or_none(entry, key, where) for key in ("subset", "split", "folder"))
    return open_hub(repository, subset, part or split, notify, inside, f"{shown(name)[1:-1]}:")


def _require_on_hub(entry: Mapping[str, object], where: str, online: bool) -> str:
    """The data set on the Hub that an entry names; a `DataError` unless `online` allows it."""
    repository = entry.get("hf_hub_url")
    on_hub = isinstance(repository, str) and HUB_NAME.fullmatch(repository) is not None
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
