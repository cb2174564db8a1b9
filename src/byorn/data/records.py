"""A file -> its records, one at a time: JSON, JSONL and Parquet, recognized by their content.

A record comes with its number in the file; where one cannot be read, a `RowProblem` stands in its place.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from byorn.data.batches import batch_size, records_of
from byorn.data.problem import RowProblem
from byorn.errors import DataError
from byorn.text import first_line

NumberedRecords = Iterator[tuple[int, object]]
SUFFIXES = (".jsonl", ".ndjson", ".json", ".parquet")
_LINES = (".jsonl", ".ndjson")
# Keys under which a JSON object holds its records; an object without them is a single record.
WRAPPERS = ("data", "rows")
_HEAD = 4096
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_records(path: Path) -> NumberedRecords:
    """The records of a file with their numbers, from 0.

    Raises:
        DataError: The file cannot be read, is empty, or is neither JSON, JSONL nor Parquet.
    """
    return {"parquet": _read_parquet, "lines": _read_lines, "json": _read_json}[layout_of(path)](path)


def layout_of(path: Path) -> Literal["parquet", "lines", "json"]:
    """What a file is by its content: Parquet, one JSON object a line, or one JSON value.

    Raises:
        DataError: The file cannot be read, is empty, or is neither JSON, JSONL nor Parquet.
    """
    head = _head(path)
    text = head.removeprefix(_BYTE_ORDER_MARK).lstrip()
    if head.startswith(b"PAR1"):
        return "parquet"
    if not text and len(head) < _HEAD:
        raise DataError(f"{path}: the file is empty; write the data again, or name another file")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in head[:4]:
        raise DataError(f"{path}: line 1 is UTF-16 text or binary, not UTF-8; save the file as UTF-8")
    lines = path.suffix.lower() in _LINES
    if lines and not (text.startswith(b"[") and _is_array(path)):
        return "lines"
    if not lines and text[:1] not in (b"[", b"{"):
        raise DataError(f"{path}: neither JSON, JSONL nor Parquet; convert it to one of them")
    return "lines" if not lines and _is_lines(path) else "json"


def read_json(path: Path) -> object:
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


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_HEAD)
    except OSError as error:
        raise DataError(f"{path}: cannot read it ({error.strerror}); check the path and its rights") from None


def _read_json(path: Path) -> NumberedRecords:
    value = read_json(path)
    if isinstance(value, dict):
        value = next((value[key] for key in WRAPPERS if isinstance(value.get(key), list)), [value])
    return iter(enumerate(value)) if isinstance(value, list) else iter([(0, value)])


def _is_lines(path: Path) -> bool:
    """Whether the first line is a whole object and more follows: JSONL under another name."""
    with path.open("rb") as file:
        first = file.readline()
        second = file.readline()
    return bool(second.strip()) and isinstance(_parse(first), dict)


def _is_array(path: Path) -> bool:
    """Whether a file whose first line begins with `[` is one JSON array under the name of JSONL."""
    with path.open("rb") as file:
        first = file.readline()
        second = file.readline()
    return not second.strip() or isinstance(_parse(first), RowProblem)


def _read_lines(path: Path) -> NumberedRecords:
    with path.open("rb") as file:
        for index, line in enumerate(file):
            if line.strip():
                yield index, _parse(line, f"line {index + 1}")


def _parse(line: bytes, where: str = "line") -> object:
    try:
        return json.loads(line.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        reason = f"malformed JSON at column {error.colno} ({error.msg})"
    except (ValueError, RecursionError) as error:
        reason = f"malformed JSON ({first_line(error)})"
    return RowProblem(where, reason, "correct or delete the line")


def _read_parquet(path: Path) -> NumberedRecords:
    import pyarrow.parquet as pq

    index = 0
    try:
        with pq.ParquetFile(path) as file:
            for record in records_of(file.iter_batches(batch_size=batch_size(file.metadata)), path):
                yield index, record
                index += 1
    except DataError:
        raise
    except Exception as error:  # a broken file fails in every way there is: ArrowException, OSError, SystemError, ...
        raise DataError(f"{path}: broken Parquet after record {index} ({first_line(error)}); write it again") from None
