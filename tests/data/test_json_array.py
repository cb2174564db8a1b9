"""A JSON array is read item by item, with the same items and the same errors as when it is parsed as a whole."""

import json

import pytest

from byorn.data import records
from byorn.data.load import load_rows
from byorn.data.records import read_json, read_records
from byorn.errors import DataError

ARRAYS = (
    "[]",
    " [ ] \r\n",
    "[1]",
    "[1.5e10,\t-0.25 , 12345678901234567890, NaN]",
    '["a]b,", "\\ud83d\\ude00", "\\\\\\"", "é日本", true, null, false]',
    '[{"a": [1, {"b": "]"}]}, {"a": 1, "a": 2}, [], {}]',
    "[" + ", ".join(json.dumps({"id": i, "text": "x" * i}) for i in range(60)) + "]",
)
BROKEN = (
    "[1, 2",
    "[1,]",
    "[,1]",
    "[1 2]",
    '[{"a": 1}, {"a": ]',
    "[1] 2",
    '["a',
    "[tru]",
    "[1.5e]",
    "[" * 100_000,
    "[1, \x00]",
)


@pytest.mark.parametrize("block", [1, 2, 3, 7, 64, 2**20])
@pytest.mark.parametrize("text", ARRAYS)
def test_wherever_a_block_ends_the_items_are_the_same(text, block, tmp_path, monkeypatch):
    monkeypatch.setattr(records, "_BLOCK", block)
    path = tmp_path / "rows.json"
    path.write_bytes(b"\xef\xbb\xbf" * (block % 2) + text.encode())
    assert repr(list(read_records(path))) == repr(list(enumerate(json.loads(text))))


@pytest.mark.parametrize("block", [1, 5, 2**20])
@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_array_is_told_of_as_when_it_is_parsed_whole(text, block, tmp_path, monkeypatch):
    monkeypatch.setattr(records, "_BLOCK", block)
    path = tmp_path / "rows.json"
    path.write_text(text)
    with pytest.raises(DataError) as whole:
        read_json(path)
    with pytest.raises(DataError) as streamed:
        list(read_records(path))
    assert str(streamed.value) == str(whole.value)


def test_a_mistake_at_the_end_of_a_long_array_stops_the_reading_and_names_the_place(tmp_path):
    path = tmp_path / "rows.json"
    rows = [{"prompt": "Hi", "completion": "Ho " * 50}] * 20_000
    path.write_text(json.dumps(rows, indent=1)[:-2] + ",\n {]")
    with pytest.raises(DataError, match="malformed JSON at line 80002, column 3"):
        load_rows(path)


def test_bytes_that_are_no_utf8_are_named_by_their_place(tmp_path):
    path = tmp_path / "rows.json"
    path.write_bytes(b'[{"prompt": "Hi", "completion": "Ho"}, "\xff"]')
    with pytest.raises(DataError, match="not UTF-8 at byte 40"):
        load_rows(path)
