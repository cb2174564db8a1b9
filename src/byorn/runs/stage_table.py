"""The records of a stage as a Parquet table, one line an item: measurements of defenses, and new responses."""

import time
from collections.abc import Callable, Sequence, Set
from pathlib import Path

import pyarrow as pa

from byorn.errors import DataError
from byorn.runs.identity import require_same
from byorn.runs.narrate import say
from byorn.runs.sealed import read_table, write_table
from byorn.runs.stage import Record, finished, run_stage
from byorn.text import first_line


def measured(
    path: Path,
    identity: dict[str, str],
    fields: Set[str],
    order: Sequence[int],
    batch_size: int,
    compute: Callable[[Sequence[int]], list[Record]],
) -> tuple[list[Record], float]:
    """The records of a stage that is kept so, and the seconds that they took in all sessions and processes.

    Raises:
        MismatchError: The file, or the journal of a killed run, belongs to other data or another model.
        DataError: The file cannot be read.
    """
    if finished(path):
        say(f"using {path}")
    else:
        run_stage(
            path, identity, fields | {"seconds"}, order, batch_size, lambda batch: _timed(batch, compute),
            lambda records: write_table(path, pa.Table.from_pylist(records), identity), phase=path.stem,
        )  # fmt: skip
    records = _read(path, identity, len(order))
    return records, sum(record.pop("seconds") for record in records)


def _timed(batch: Sequence[int], compute: Callable[[Sequence[int]], list[Record]]) -> list[tuple[int, Record]]:
    began = time.perf_counter()
    records = compute(batch)
    spent = (time.perf_counter() - began) / len(batch)
    return [(index, {**record, "seconds": spent}) for index, record in zip(batch, records, strict=True)]


def read_records(path: Path, identity: dict[str, str]) -> list[Record]:
    """The records of a finished file.

    Raises:
        DataError: It cannot be read.
        MismatchError: It belongs to something else.
    """
    try:
        table, found = read_table(path)
        records: list[Record] = table.to_pylist()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(
            f"{path} is not readable ({first_line(error)}); delete it and run the same command again"
        ) from error
    require_same(found, identity, path)
    return records


def _read(path: Path, identity: dict[str, str], count: int) -> list[Record]:
    records = read_records(path, identity)
    if len(records) != count or any("seconds" not in record for record in records):
        raise DataError(f"{path}: it has {len(records)} lines for {count} items; delete it and run again")
    return records
