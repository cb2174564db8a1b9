"""Data sets of the Hub: downloaded as Parquet files, which are then written again like any others."""

import re
from dataclasses import replace
from itertools import chain
from pathlib import Path

from byorn.data.load import LoadedRows, Part
from byorn.data.opened import DataFile
from byorn.data.tables import HubSplit
from byorn.runs.atomic import atomic_path

_BATCH = 256
_ELSEWHERE = ("hf_hub_url", "subset", "split", "folder")
"""Where an entry of `dataset_info.json` says that its records are on the Hub."""


def with_files(loaded: LoadedRows, folder: Path) -> LoadedRows:
    """The same rows, those of the Hub as if they had been read from files below `folder`, which are written.

    Raises:
        DataError: A data set or its split cannot be loaded.
    """
    several = len(loaded.parts) > 1
    parts = [_as_file(part, folder, f"{number}-" if several else "") for number, part in enumerate(loaded.parts)]
    return replace(loaded, parts=parts)


def _as_file(part: Part, folder: Path, prefix: str) -> Part:
    hub = part.source.hub
    if hub is None:
        return part
    name = f"{prefix}{re.sub(r'[^A-Za-z0-9_]+', '-', hub.split)}.parquet"
    _save(hub, folder / name)
    entry = part.source.entry
    if entry is not None:
        here = {key: value for key, value in entry[1].items() if key not in _ELSEWHERE}
        entry = (entry[0], {**here, "file_name": name})
    files = [DataFile(hub.source, folder / name, name)]
    return replace(part, source=replace(part.source, files=files, entry=entry))


def _save(hub: HubSplit, path: Path) -> None:
    """A Parquet file of the records, in their order, with images inside."""
    import pyarrow.parquet as pq
    from datasets.table import embed_table_storage

    path.parent.mkdir(parents=True, exist_ok=True)
    with hub.told_in_one_line(), atomic_path(path) as partial:
        tables = map(embed_table_storage, hub.loaded().with_format("arrow").iter(batch_size=_BATCH))
        first = next(tables)
        with pq.ParquetWriter(partial, first.schema) as writer:
            for table in chain([first], tables):
                writer.write_table(table)
