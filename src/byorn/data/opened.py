"""A source that was opened: its records, where they come from, and where their images lie. Opened are files, and data
sets on the Hub.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from byorn.data.inside import name_inside
from byorn.data.readers.reader import Reader
from byorn.data.records import NumberedRecords, read_records
from byorn.data.row import Origin
from byorn.data.tables import HubSplit, hub_roots
from byorn.errors import DataError
from byorn.text import shown

Records = Iterator[tuple[Origin, object]]
Notify = Callable[[str], None]
HUB_NAME = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")


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


def open_files(files: Sequence[Path], root: Path, note: str, entry: str = "") -> Source:
    """Files below `root`, read one after the other; `entry` stands before their names in the `origin` of rows."""
    where = str(files[0]) if len(files) == 1 else str(root)
    names = [name_inside(file, root) for file in files]
    listed = [DataFile(entry + name, file, name) for name, file in zip(names, files, strict=True)]
    return Source(_chained(listed), where, [root.resolve()], notes=[note], files=listed)


def _chained(files: Sequence[DataFile]) -> Records:
    for file in files:
        yield from placed(read_records(file.path), file.source)


def placed(records: NumberedRecords, source: str) -> Records:
    """Records with their origins."""
    return ((Origin(source, number), record) for number, record in records)


def open_hub(
    repository: str, config: str | None, split: str, notify: Notify, folder: str | None = None, entry: str = ""
) -> Source:
    """A split of a data set on the Hub, or of a `folder` in it; it is asked for when the first record is.

    Raises:
        DataError: The name is none.
    """
    if not HUB_NAME.fullmatch(repository) and not re.fullmatch(r"[\w][\w.-]*", repository):
        raise DataError(f"hub:{shown(repository)}: not a name of the Hub; write hub:owner/name")
    hub = HubSplit(entry + repository, repository, config, split, folder)
    records = placed(hub.records(notify), hub.source)
    note = f"{repository} is no local path: split {shown(split)} taken from the Hub"
    return Source(records, f"hub:{repository}", hub_roots(), notes=[note], hub=hub)
