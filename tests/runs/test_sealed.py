"""Files that know when they were changed: no flipped bit turns into another value without a word."""

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from byorn.runs.sealed import opened_line, read_table, sealed_line, write_table

TABLE = pa.table({"id": ["a", "b", "c"], "nll": [1.5, None, 2.25], "tokens": [3, 4, 5], "review": ["auto"] * 3})
METADATA = {"model": "embedded", "data": "0123"}


def test_a_flipped_bit_of_a_table_is_found_or_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    write_table(path, TABLE, METADATA, free=["review"])
    whole = path.read_bytes()
    found = 0
    for place in range(0, len(whole), 3):
        path.write_bytes(flipped(whole, place, place % 8))
        try:
            table, metadata = read_table(path, free=["review"])
        except (ValueError, OSError, pa.ArrowException):
            found += 1
        else:
            assert table.drop_columns("review").to_pydict() == TABLE.drop_columns("review").to_pydict()
            assert metadata.items() >= METADATA.items()
    assert found > len(whole) / 3 / 2


def test_a_column_that_is_free_may_be_edited_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    write_table(path, TABLE, METADATA, free=["review"])
    held = read_table(path, free=["review"])[0].schema.metadata
    edited = TABLE.set_column(3, "review", pa.array(["drop", "keep", "auto"])).replace_schema_metadata(held)
    pq.write_table(edited, path)
    assert read_table(path, free=["review"])[0]["review"].to_pylist() == ["drop", "keep", "auto"]
    moved = edited.set_column(1, "nll", pa.array([1.5, None, 2.5])).replace_schema_metadata(held)
    pq.write_table(moved, path)
    with pytest.raises(ValueError, match="nll changed since it was written"):
        read_table(path, free=["review"])


def test_a_flipped_bit_of_a_line_is_found_or_changes_nothing() -> None:
    record = {"index": 7, "text": "a red square", "nll": 1.25}
    line = sealed_line(record).encode()
    draw = random.Random(0)
    for place in range(len(line) - 1):  # but for the line's end
        assert opened_line(flipped(line, place, draw.randrange(8))) in (None, record)
    assert opened_line(line) == record


def flipped(content: bytes, place: int, bit: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]
