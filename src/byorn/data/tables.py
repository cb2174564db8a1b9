"""Data sets in the form of `datasets`: what `save_to_disk` wrote, and data sets on the Hub.

Both are opened when their first record is asked for, and not before: the Hub is asked only after it was said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from byorn.data.batches import records_in, records_of
from byorn.data.records import NumberedRecords, read_json
from byorn.errors import DataError
from byorn.text import first_line, shown

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

_BATCH = 256


def is_saved(folder: Path) -> bool:
    """Whether `save_to_disk` wrote the folder."""
    return any((folder / file).is_file() for file in ("state.json", "dataset_dict.json"))


def saved_split(folder: Path, split: str) -> Path:
    """The folder of a split within what `save_to_disk` wrote; the folder itself where there are no splits.

    Raises:
        DataError: No such split.
    """
    if not (folder / "dataset_dict.json").is_file():
        state = read_json(folder / "state.json") if split != "train" else None
        require_no_split(folder, split, state.get("_split") if isinstance(state, dict) else None)
        return folder
    listed = read_json(folder / "dataset_dict.json")
    splits = listed.get("splits") if isinstance(listed, dict) else None
    known = [name for name in splits if isinstance(name, str)] if isinstance(splits, list) else []
    if split not in known:
        raise DataError(f"{folder}: no split {shown(split)}; use one of {', '.join(name[:60] for name in known[:20])}")
    return folder / split


def require_no_split(folder: Path, split: str, own: object = None) -> None:
    """Refuse a split of a folder without splits: its rows, asked for as `test`, may be those that were trained on.
    `train`, the default, is what nobody asked for.

    Raises:
        DataError: It is neither `train` nor the folder's `own`.
    """
    if split not in ("train", own):
        raise DataError(f"{folder}: no split {shown(split)}, its rows are all there is; leave the split out")


def saved_records(folder: Path) -> NumberedRecords:
    """The records of a saved data set, in storage form: images as `{"bytes": ..., "path": ...}`.

    Arrow's files are read here and not by `datasets`, which maps them into memory, where a file that ends too early
    ends the process (SIGBUS), and converts columns before anybody has looked at their offsets.

    Raises:
        DataError: The folder is broken.
    """
    index = 0
    try:
        for file in saved_files(folder):
            for record in records_of(sound_batches(file), file):
                yield index, record
                index += 1
    except Exception as error:  # Arrow fails on broken files in every way there is; the user can only mend the folder
        raise DataError(f"{folder}: not a readable datasets directory ({first_line(error)}); save it again") from None


@dataclass(frozen=True)
class HubSplit:
    """A split of a data set on the Hub.

    Attributes:
        source: What the `origin` of its rows calls it.
        repository: Its name.
        config, split, folder: As `datasets.load_dataset` takes them; `folder` is its `data_dir`.
    """

    source: str
    repository: str
    config: str | None
    split: str
    folder: str | None = None

    def records(self, notify: Callable[[str], None]) -> NumberedRecords:
        """Its records; `notify` is called before the network is.

        Raises:
            DataError: The data set or the split cannot be loaded.
        """
        notify(f"asking the Hub for {self.repository}")
        with self.told_in_one_line():
            yield from _numbered(self.loaded())

    def loaded(self) -> Dataset:
        """The split, from the Hub or from what was downloaded before."""
        import datasets

        options = {"data_dir": self.folder} if self.folder else {}
        return datasets.load_dataset(self.repository, self.config, split=self.split, **options)

    @contextmanager
    def told_in_one_line(self) -> Iterator[None]:
        """What goes wrong while it is loaded is a `DataError`."""
        try:
            yield
        except Exception as error:  # network, missing repository, missing split: one line for all
            raise DataError(
                f"hub:{self.repository}: cannot load split {shown(self.split)} ({first_line(error)}); check the name"
            ) from None


def hub_roots() -> list[Path]:
    """Where images lie that `datasets` downloaded: in its own caches, and nowhere else."""
    from datasets import config
    from huggingface_hub.constants import HF_HUB_CACHE

    return [Path(HF_HUB_CACHE).resolve(), (Path(config.HF_DATASETS_CACHE) / "downloads").resolve()]


def saved_files(folder: Path) -> list[Path]:
    """The Arrow files that `state.json` lists."""
    state = read_json(folder / "state.json")
    parts = state.get("_data_files") if isinstance(state, dict) else None
    if not isinstance(state, dict) or not isinstance(parts, list):
        raise DataError("state.json lists no files")
    names = [part.get("filename") if isinstance(part, dict) else None for part in parts]
    if state.get("_indices_data_files"):
        raise DataError("it is a selection of rows; call flatten_indices() first")
    files = [folder / name for name in names if isinstance(name, str)]
    if len(files) < len(parts) or not all(file.resolve().is_relative_to(folder.resolve()) for file in files):
        raise DataError("state.json names a file elsewhere")
    return files


def sound_batches(file: Path) -> Iterator[pa.RecordBatch]:
    """The record batches of an Arrow stream, every offset, index and text of which has been checked."""
    import pyarrow as pa

    with pa.OSFile(str(file)) as stream, pa.ipc.open_stream(stream) as batches:
        for batch in batches:
            batch.validate(full=True)
            yield batch


def _numbered(loaded: Dataset) -> Iterator[tuple[int, object]]:
    index = 0
    for table in loaded.with_format("arrow").iter(batch_size=_BATCH):
        for record in records_in(table):
            yield index, record
            index += 1
