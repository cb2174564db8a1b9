"""A stage of a defense: one record for each of many items, from a model, kept as a file of the run folder.

Items are computed in batches and written down as they come, so that a killed run goes on where it stopped; under torchrun
every process does its share. The finished file is a Parquet table, one line an item, that names its data and model.
"""

import time
from collections.abc import Callable, Sequence, Set
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from byorn.errors import DataError
from byorn.runs.batches import deal
from byorn.runs.narrate import say
from byorn.runs.ranks import is_main, share
from byorn.runs.together import all_records, open_journal, wait_until
from byorn.scoring.table import require_same

Record = dict[str, Any]


def run_stage(
    path: Path,
    identity: dict[str, str],
    fields: Set[str],
    order: Sequence[int],
    batch_size: int,
    compute: Callable[[Sequence[int]], list[Record]],
) -> tuple[list[Record], float]:
    """The records of the items 0, 1, ..., in that order, and the seconds that they took in all sessions and processes.

    Args:
        path: The finished file; what is there is not computed again.
        identity: Of data and model, see `Inputs`.
        fields: The names in a record.
        order: All items, in the order in which to compute them.
        batch_size: Items at once.
        compute: A batch of items to their records, values that JSON knows.

    Raises:
        MismatchError: The file, or the journal of a killed run, belongs to other data or another model.
        DataError: The file cannot be read.
    """
    if path.exists():
        say(f"using {path}")
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open_journal(path, identity, fields | {"seconds"}) as log:
            for batch in deal(order, batch_size, share(), log.finished):
                for index, record in _timed(batch, compute):
                    log.add(index, record)
                log.flush()
            if is_main():
                _write(path, identity, all_records(log, len(order)))
            else:
                wait_until(path.exists, log)
        log.discard()
    records = _read(path, identity, len(order))
    return records, sum(record.pop("seconds") for record in records)


def _timed(batch: Sequence[int], compute: Callable[[Sequence[int]], list[Record]]) -> list[tuple[int, Record]]:
    began = time.perf_counter()
    records = compute(batch)
    spent = (time.perf_counter() - began) / len(batch)
    return [(index, {**record, "seconds": spent}) for index, record in zip(batch, records, strict=True)]


def _write(path: Path, identity: dict[str, str], records: list[Record]) -> None:
    partial = path.with_suffix(".tmp")
    pq.write_table(pa.Table.from_pylist(records).replace_schema_metadata(identity), partial)
    partial.replace(path)


def _read(path: Path, identity: dict[str, str], count: int) -> list[Record]:
    try:
        table = pq.read_table(path)
        records: list[Record] = table.to_pylist()
        found = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(f"{path} is not readable ({error}); delete it and run the same command again") from error
    require_same(found, identity, path)
    if len(records) != count or any("seconds" not in record for record in records):
        raise DataError(f"{path}: it has {len(records)} lines for {count} items; delete it and run again")
    return records
