"""Tables that are small as a file and huge in memory: compressed, or with one long value that many rows share.

Records may take `GROWTH` times the size of their file, or `ALWAYS`, whichever is more; then reading stops.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from byorn.data.problem import RowProblem
from byorn.errors import DataError
from byorn.text import first_line

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.parquet import FileMetaData

ALWAYS = 512 * 2**20
GROWTH = 100
_BATCH = 256
_PART = 64 * 2**20
# Types whose values rows may share, by what is in their names.
_SHARING = ("dictionary", "view", "run_end")


def batch_size(metadata: FileMetaData) -> int:
    """How many rows of a Parquet file to decode at a time: each may hold the longest value of a dictionary."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    columns = (group.column(number) for group in groups for number in range(group.num_columns))
    largest = max((column.total_uncompressed_size for column in columns if column.has_dictionary_page), default=0)
    return max(1, min(_BATCH, _PART // max(1, largest)))


def records_of(batches: Iterable[pa.RecordBatch], file: Path) -> Iterator[object]:
    """The records of the batches of a file; a `RowProblem` in place of each that Python cannot hold.

    Raises:
        DataError: They take too much memory for such a file.
    """
    limit = max(ALWAYS, GROWTH * file.stat().st_size)
    taken = 0
    for batch in batches:
        shared = any(word in str(kind) for kind in batch.schema.types for word in _SHARING)
        step = 1 if shared else _BATCH
        for part in (batch.slice(start, step) for start in range(0, batch.num_rows, step)):
            taken += 0 if shared else part.nbytes + 8 * sum(map(_values, part.columns))
            records = records_in(part) if taken <= limit else []
            taken += sum(map(_size, records)) if shared else 0
            if taken > limit:
                raise DataError(f"{file}: its records take over {limit // 2**20} MB, far more than the file; split it")
            yield from records


def records_in(batch: pa.RecordBatch | pa.Table) -> list[object]:
    """The records of a batch; a `RowProblem` for each that Python cannot hold, such as a date after the year 9999."""
    try:
        return list(batch.to_pylist())
    except Exception:  # OverflowError, ValueError, ArrowException, ...: one record must not take the others along
        return [_record_in(batch, number) for number in range(batch.num_rows)]


def _record_in(batch: pa.RecordBatch | pa.Table, number: int) -> object:
    try:
        return batch.slice(number, 1).to_pylist()[0]
    except Exception as error:
        reason = f"a value that cannot be read ({type(error).__name__}: {first_line(error)})"
        return RowProblem("record", reason, "correct the value, or drop the row")


def _values(array: pa.Array) -> int:
    """How many values of Python an array becomes: 8 bytes each in a list, where a table may have a bit for it."""
    array = getattr(array, "storage", array)
    if not hasattr(array, "flatten"):
        return len(array)
    inside = array.flatten()
    return len(array) + sum(map(_values, inside if isinstance(inside, list) else [inside]))


def _size(value: object) -> int:
    """About how many bytes a record takes: its texts, and 8 for anything else, as lists of numbers are shared, too."""
    if isinstance(value, dict):
        return sum(map(_size, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(_size, value))
    return len(value) if isinstance(value, str | bytes) else 8
