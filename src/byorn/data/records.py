"""A file -> its records, one at a time: JSON, JSONL and Parquet, recognized by their content.

A record comes with its number in the file; where one cannot be read, a `RowProblem` stands in its place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TextIO

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
_BLOCK = 2**20
_SPACE = re.compile(r"[ \t\n\r]*")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"PK\x03\x04", b"\xfd7zXZ", b"(\xb5/\xfd")  # gzip, bzip2, zip, xz, zstandard


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
    if head.startswith(_COMPRESSED):
        raise DataError(f"{path}: it is compressed; unpack it first")
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
    if _head(path).removeprefix(_BYTE_ORDER_MARK).lstrip().startswith(b"["):
        return enumerate(_items(path))
    value = read_json(path)
    if isinstance(value, dict):
        value = next((value[key] for key in WRAPPERS if isinstance(value.get(key), list)), [value])
    return iter(enumerate(value)) if isinstance(value, list) else iter([(0, value)])


def _items(path: Path) -> Iterator[object]:
    """The items of a file that is one JSON array, of which no more than a block or an item is in memory.

    Where one cannot be read, the whole file is parsed for the sake of its message, which names line and column.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from _ArrayReader(file)
    except (OSError, ValueError, RecursionError) as error:
        read_json(path)
        raise DataError(f"{path}: unusable JSON ({first_line(error)}); correct the file") from None


class _ArrayReader:
    """Parses the items of a JSON array one by one, as `json.loads` parses them all."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._text = ""
        self._place = 0
        self._decode = json.JSONDecoder().raw_decode

    def __iter__(self) -> Iterator[object]:
        self._expect("[")
        if self._next() == "]":
            self._place += 1
        else:
            yield self._item()
            while self._expect(",]") == ",":
                yield self._item()
        if self._next():
            raise ValueError("text after the array")

    def _item(self) -> object:
        """The item that begins here; one that the text at hand may cut off is parsed again with more of it."""
        self._next()
        while True:
            try:
                item, end = self._decode(self._text, self._place)
            except ValueError:
                if not self._more():
                    raise
                continue
            if self._character(_end_of_space(self._text, end)) in (",", "]") or not self._more():
                self._place = end
                return item

    def _next(self) -> str:
        """The next character that is no white space, to which the place moves; empty at the end of the file."""
        while True:
            self._place = _end_of_space(self._text, self._place)
            if self._place < len(self._text) or not self._more():
                return self._character(self._place)

    def _expect(self, characters: str) -> str:
        found = self._next()
        if not found or found not in characters:
            raise ValueError(f"no {characters}")
        self._place += 1
        return found

    def _character(self, place: int) -> str:
        return self._text[place : place + 1]

    def _more(self) -> bool:
        """Read on, twice as much each time within an item, so that a long one is not parsed too often."""
        more = self._file.read(max(_BLOCK, len(self._text) - self._place))
        if more:
            self._text = self._text[self._place :] + more
            self._place = 0
        return bool(more)


def _end_of_space(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    return found.end() if found else place


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
