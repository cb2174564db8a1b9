"""What the user points at -> records, the folder of their images, and a reader where the source itself names one.

A file; a folder (a `datasets` directory, LLaMA-Factory's `data/`, an image folder with metadata, or plain data files);
or a data set on the Hub, which is the only source that is fetched.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from byorn.data.pixels import first_line
from byorn.data.readers.llamafactory import reader_for
from byorn.data.readers.reader import Reader
from byorn.data.records import SUFFIXES, Records, read_json, read_records
from byorn.errors import DataError

CONTAINERS = ("llamafactory", "datasets", "imagefolder", "hub")
_HUB_NAME = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")
# Where entries of dataset_info.json may point to, besides file_name and hf_hub_url.
_ELSEWHERE = ("hf_hub_url", "ms_hub_url", "om_hub_url", "script_url", "cloud_file_name")
_BATCH = 256


@dataclass
class Source:
    """Records and where their images lie; relative paths start at the first of `roots`."""

    records: Records
    where: str
    roots: list[Path]
    reader: Reader | None = None
    notes: list[str] = field(default_factory=list)


def open_source(source: str | Path, kind: str = "auto", name: str | None = None, split: str = "train") -> Source:
    """Opens a file, a folder or a data set on the Hub.

    Args:
        source: A path, `owner/name` or `hub:owner/name`.
        kind: One of `CONTAINERS` to insist on it; anything else: told by content.
        name: The entry of a LLaMA-Factory folder, or the configuration of a data set on the Hub.
        split: The split, where the source has splits.

    Raises:
        DataError: nothing there, or nothing that can be read.
    """
    text, path = str(source), Path(source)
    hub_name = text.removeprefix("hub:")
    if text.startswith("hub:") or kind == "hub" or (not os.path.exists(text) and looks_like_hub(text)):
        return _open_hub(hub_name, name, split)
    if "://" in text:
        raise DataError(f"{text}: URLs are not fetched; download the data first")
    if not os.path.exists(text):
        raise DataError(f"{text}: no such file or folder; correct the path, or write hub:owner/name for the Hub")
    if path.is_dir():
        return _open_folder(path, kind, name, split)
    if kind in CONTAINERS or name is not None:
        raise DataError(
            f"{text}: a file holds no {kind if kind in CONTAINERS else 'named entries'}; point to its folder"
        )
    return _open_files([path], path.parent, f"{path.name}: one file")


def _open_folder(folder: Path, kind: str, name: str | None, split: str) -> Source:
    if kind in ("auto", "datasets") and any((folder / file).is_file() for file in ("state.json", "dataset_dict.json")):
        return _open_saved(folder, split)
    if kind != "imagefolder" and (folder / "dataset_info.json").is_file():
        return _open_llamafactory(folder, name, split)
    if kind in ("datasets", "llamafactory") or name is not None:
        raise DataError(
            f"{folder}: no dataset_info.json for {name or kind!r}; correct the folder, or leave the name out"
        )
    for inside in (folder / split, folder):
        for file in ("metadata.jsonl", "metadata.parquet"):
            if (inside / file).is_file():
                return _open_files([inside / file], inside, f"image folder: {file} found")
    if kind == "imagefolder":
        raise DataError(f"{folder}: no metadata.jsonl; add one with file_name and a text column")
    return _open_data_files(folder, split)


def _open_data_files(folder: Path, split: str) -> Source:
    """A folder of data files: `rows.jsonl` as Byorn writes it, else the files of the split, else a single file."""
    files = _data_files(folder)
    if folder / "rows.jsonl" in files:
        return _open_files([folder / "rows.jsonl"], folder, "rows.jsonl: rows that Byorn wrote")
    of_split = [file for file in files if re.match(rf"{re.escape(split)}\b", file.stem)]
    chosen = of_split or files
    if not of_split and len(files) > 1:
        names = ", ".join(file.name for file in files[:10])
        raise DataError(f"{folder}: several data files ({names}) and none is named {split}*; point to one of them")
    if not chosen:
        raise DataError(f"{folder}: no data file ({', '.join(SUFFIXES)}) inside; point to the file or its folder")
    return _open_files(chosen, folder, f"files of the folder: {', '.join(file.name for file in chosen[:10])}")


def _open_files(files: Sequence[Path], root: Path, note: str) -> Source:
    where = str(files[0]) if len(files) == 1 else str(root)
    return Source(_chained(files), where, [root.resolve()], notes=[note])


def _chained(files: Sequence[Path]) -> Records:
    start = 0
    for file in files:
        last = -1
        for last, record in read_records(file):
            yield start + last, record
        start += last + 1


def _data_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())


def _open_llamafactory(folder: Path, name: str | None, split: str) -> Source:
    info = read_json(folder / "dataset_info.json")
    entries = {key: value for key, value in info.items() if isinstance(value, dict)} if isinstance(info, dict) else {}
    chosen = next(iter(entries)) if name is None and len(entries) == 1 else name
    if chosen is None or chosen not in entries:
        known = ", ".join(sorted(entries)[:20]) or "none"
        asked = "which entry?" if chosen is None else f"no entry {chosen!r};"
        raise DataError(f"{folder}/dataset_info.json: {asked} pass a name out of: {known}")
    entry, where = entries[chosen], f"{folder}/dataset_info.json, {chosen!r}"
    reader = reader_for(chosen, entry)
    opened = _open_entry(folder, entry, where, split)
    opened.reader = reader
    opened.notes.insert(0, f"entry {chosen!r} of dataset_info.json")
    return _first_samples(opened, entry.get("num_samples"), where)


def _open_entry(folder: Path, entry: dict[str, Any], where: str, split: str) -> Source:
    """The records of an entry: a file or folder beside `dataset_info.json`, or a data set on the Hub."""
    if isinstance(entry.get("file_name"), str):
        return _open_files(_files_of(folder, entry["file_name"], where), folder, f"file_name {entry['file_name']!r}")
    repository = entry.get("hf_hub_url")
    if isinstance(repository, str) and _HUB_NAME.fullmatch(repository):
        return _open_hub(repository, entry.get("subset"), entry.get("split") or split, entry.get("folder"))
    kind = next((key for key in _ELSEWHERE if entry.get(key)), None)
    found = f"{kind} is not fetched" if kind else "no file_name"
    raise DataError(f"{where}: {found}; download the data into the folder and name them in file_name")


def _first_samples(opened: Source, count: Any, where: str) -> Source:
    """The first `num_samples` records; LLaMA-Factory draws as many at random."""
    if count is None:
        return opened
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise DataError(f"{where}: num_samples must be a positive number; correct the entry")
    opened.records = islice(opened.records, count)
    opened.notes.append(f"num_samples: the first {count} records (LLaMA-Factory draws them at random)")
    return opened


def _files_of(folder: Path, name: str, where: str) -> list[Path]:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"{where}: file_name leaves the folder; move the file into it")
    files = _data_files(path) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise DataError(f"{where}: no data file {name!r}; correct file_name")
    return files


def _open_saved(folder: Path, split: str) -> Source:
    import datasets

    try:
        loaded = datasets.load_from_disk(str(folder))
    except Exception as error:  # whatever a broken folder makes `datasets` raise, the user can only mend the folder
        raise DataError(f"{folder}: not a readable datasets directory ({first_line(error)}); save it again") from None
    note = "datasets directory (save_to_disk)"
    if isinstance(loaded, datasets.DatasetDict):
        if split not in loaded:
            raise DataError(f"{folder}: no split {split!r}; use one of {', '.join(loaded)}")
        loaded, note = loaded[split], f"{note}, split {split!r}"
    return Source(_arrow_records(loaded), str(folder), [folder.resolve()], notes=[note])


def _open_hub(repository: str, config: str | None, split: str, folder: str | None = None) -> Source:
    import datasets
    from huggingface_hub.constants import HF_HUB_CACHE

    try:
        loaded = datasets.load_dataset(repository, config, split=split, **({"data_dir": folder} if folder else {}))
    except Exception as error:  # network, missing repository, missing split: one line for all
        raise DataError(
            f"hub:{repository}: cannot load split {split!r} ({first_line(error)}); check the name"
        ) from None
    # Images that `datasets` downloaded lie in its own caches, and nowhere else.
    roots = [Path(HF_HUB_CACHE).resolve(), (Path(datasets.config.HF_DATASETS_CACHE) / "downloads").resolve()]
    note = f"{repository} is no local path: split {split!r} taken from the Hub"
    return Source(_arrow_records(loaded), f"hub:{repository}", roots, notes=[note])


def _arrow_records(loaded: Any) -> Iterator[tuple[int, Any]]:
    """Records in storage form: the arrow format leaves images as `{"bytes": ..., "path": ...}`."""
    index = 0
    for table in loaded.with_format("arrow").iter(batch_size=_BATCH):
        for record in table.to_pylist():
            yield index, record
            index += 1


def looks_like_hub(text: str) -> bool:
    return _HUB_NAME.fullmatch(text) is not None and Path(text).suffix.lower() not in (*SUFFIXES, ".csv", ".txt")
