"""A file -> its records, one at a time: JSON, JSONL and Parquet, told apart by their content.

A record comes with its index; where a line cannot be parsed, a `RowProblem` stands in its place.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from byorn.data.pixels import first_line
from byorn.data.problem import RowProblem
from byorn.errors import DataError

Records = Iterator[tuple[int, Any]]
SUFFIXES = (".jsonl", ".ndjson", ".json", ".parquet")
_LINES = (".jsonl", ".ndjson")
# Keys under which a JSON object holds its records; an object without them is a single record.
_WRAPPERS = ("data", "rows")
_BATCH = 256


def read_records(path: Path) -> Records:
    """The records of a file with their indices.

    Raises:
        DataError: the file cannot be read, or is neither JSON, JSONL nor Parquet.
    """
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError as error:
        raise DataError(f"{path}: cannot read it ({error.strerror}); check the path and its rights") from None
    if head.startswith(b"PAR1"):
        return _read_parquet(path)
    if path.suffix.lower() in _LINES:
        return _read_lines(path)
    if head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] not in (b"[", b"{"):
        raise DataError(f"{path}: neither JSON, JSONL nor Parquet; convert it to one of them")
    return _read_json(path)


def read_json(path: Path) -> Any:
    """The value in a JSON file; a `DataError` names line and column of a mistake."""
    try:
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise DataError(f"{path}: cannot read it ({error.strerror}); check the path and its rights") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise DataError(f"{path}: malformed JSON at {where} ({error.msg}); correct the file") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: unusable JSON ({first_line(error)}); correct the file") from None


def _read_json(path: Path) -> Records:
    if _is_lines(path):
        return _read_lines(path)
    value = read_json(path)
    if isinstance(value, dict):
        value = next((value[key] for key in _WRAPPERS if isinstance(value.get(key), list)), [value])
    return iter(enumerate(value))


def _is_lines(path: Path) -> bool:
    """Whether the first line is a whole object and more follows: JSONL under another name."""
    with path.open("rb") as file:
        first, second = file.readline(), file.readline()
    return bool(second.strip()) and isinstance(_parse(first), dict)


def _read_lines(path: Path) -> Records:
    with path.open("rb") as file:
        for index, line in enumerate(file):
            if line.strip():
                yield index, _parse(line, f"line {index + 1}")


def _parse(line: bytes, where: str = "line") -> Any:
    try:
        return json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        return RowProblem(where, f"malformed JSON ({first_line(error)})", "correct or delete the line")


def _read_parquet(path: Path) -> Records:
    import pyarrow as pa
    import pyarrow.parquet as pq

    index = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_BATCH):
                for record in batch.to_pylist():
                    yield index, record
                    index += 1
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path}: broken Parquet after record {index} ({first_line(error)}); write it again") from None
