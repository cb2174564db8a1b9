"""A file that cannot be read ends in one line that names the file, the place and the cause; a broken record spoils
no other.
"""

import datetime
import gzip
import json
import struct
import time
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from byorn.data import batches
from byorn.data.load import load_rows
from byorn.errors import DataError

RECORD = {"prompt": "Look", "completion": "A box."}


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(DataError) as refused:
        load_rows(path, **options)
    message = str(refused.value)
    assert message.isprintable()
    assert len(message) < 1000
    return message


@pytest.mark.parametrize(
    ("name", "content", "cause"),
    [
        ("a.json", b"", "the file is empty"),
        ("a.jsonl", b" \n\n", "the file is empty"),
        ("a.json", b"\xef\xbb\xbf", "the file is empty"),
        ("a.parquet", b"", "the file is empty"),
        ("a.json", json.dumps([RECORD]).encode("utf-16"), "UTF-16"),
        ("a.jsonl", json.dumps(RECORD).encode("utf-16-le"), "UTF-16"),
        ("a.jsonl.gz", gzip.compress(json.dumps(RECORD).encode()), "compressed; unpack it"),
        ("a.json", b'[\n {"prompt": "a",}\n]', "malformed JSON at line 2, column"),
        ("a.jsonl", b'[\n {"prompt": "a",}\n]', "malformed JSON at line 2, column"),
        (
            "a.jsonl",
            b"{'prompt': 'a'}\n" * 60,
            "first: record 0, line 1: malformed JSON at column 2 (Expecting property",
        ),
        ("a.jsonl", b"[1]\n[2]\n", "the first is of type list; give one object a row"),
        ("a.jsonl", b"not data\n", "line 1: malformed JSON at column 1"),
        ("a.jsonl", b'{"prompt": "\xff"}\n', "line 1: malformed JSON ('utf-8' codec"),
        ("a.parquet", b"PAR1" + b"\0" * 50, "broken Parquet after record 0"),
        ("a.json", b"[]", "holds no records"),
    ],
)
def test_the_line_and_the_cause_are_named(name, content, cause, tmp_path):
    (tmp_path / name).write_bytes(content)
    message = refusal(tmp_path / name)
    assert message.startswith(f"{tmp_path / name}: ")
    assert cause in message


def test_a_json_array_under_the_name_of_jsonl_is_read(save, tmp_path):
    path = save([RECORD, RECORD]).rename(tmp_path / "rows.jsonl")
    assert len(load_rows(path).rows) == 2
    path.write_text(json.dumps([RECORD, RECORD], indent=1))
    assert len(load_rows(path).rows) == 2


@pytest.mark.parametrize(
    "values",
    [
        pa.array([1, 2**62], pa.timestamp("us")),
        pa.array([1, 2**62], pa.duration("s")),
        pa.array([1, 2**31 - 1], pa.date32()),
    ],
)
def test_a_date_that_python_cannot_hold_rejects_its_row_alone(values, tmp_path):
    table = pa.table({"prompt": ["a", "b"], "completion": ["good", "bad"], "when": values})
    pq.write_table(table, tmp_path / "a.parquet")
    loaded = load_rows(tmp_path / "a.parquet")
    assert [row.response for row in loaded.rows] == ["good"]
    assert isinstance(loaded.rows[0].meta["when"], str)
    [reject] = loaded.rejects
    assert (reject.source, reject.index, reject.field) == ("a.parquet", 1, "record")
    assert "cannot be read (OverflowError" in reject.reason


@pytest.fixture
def saved(tmp_path):
    """A folder of `save_to_disk`, and its only Arrow file."""
    datasets.Dataset.from_list([RECORD] * 1000).save_to_disk(tmp_path / "saved")
    [arrow] = (tmp_path / "saved").glob("*.arrow")
    return tmp_path / "saved", arrow


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.99])
def test_a_truncated_saved_folder_does_not_end_the_process(saved, share):
    folder, arrow = saved
    arrow.write_bytes(arrow.read_bytes()[: int(share * arrow.stat().st_size)])
    assert "not a readable datasets directory" in refusal(folder)


@pytest.mark.parametrize("offset", [2**31 - 1, -5, 10_000_000])
def test_broken_offsets_are_found_before_they_are_followed(saved, offset):
    folder, arrow = saved
    content = arrow.read_bytes()
    sound = struct.pack("<3i", 4 * 500, 4 * 501, 4 * 502)  # the texts of `prompt` have four letters each
    assert sound in content
    arrow.write_bytes(content.replace(sound, struct.pack("<3i", 4 * 500, offset, 4 * 502)))
    assert "not a readable datasets directory" in refusal(folder)


def test_text_in_a_saved_folder_that_is_not_utf8_is_found(saved):
    folder, arrow = saved
    arrow.write_bytes(arrow.read_bytes().replace(b"LookLook", b"\xff\xfe\xfd\xfcLook", 1))
    assert "UTF8" in refusal(folder)


@pytest.mark.parametrize(
    "state", [b"", b"[]", b'{"_data_files": [{"filename": "../other.arrow"}]}', b'{"_data_files": 5}']
)
def test_a_broken_or_hostile_state_of_a_saved_folder_is_one_line(saved, state):
    folder, arrow = saved
    arrow.rename(folder.parent / "other.arrow")
    (folder / "state.json").write_bytes(state)
    assert refusal(folder).startswith(str(folder))


def test_a_row_of_many_texts_takes_linear_time(save):
    parts = [{"type": "text", "text": "look here "}] * 360_000
    messages = [{"role": "user", "content": parts}, {"role": "assistant", "content": "A box."}]
    path = save([RECORD, {"messages": messages}], "rows.jsonl")
    start = time.monotonic()
    loaded = load_rows(path, format="trl")
    assert time.monotonic() - start < 15  # seconds; it took 42 when each text was joined to those before it
    assert "3600006 characters, over max_chars" in loaded.rejects[0].reason


def test_dates_and_durations_of_a_table_are_kept_as_text(tmp_path):
    columns = {
        "prompt": ["a"],
        "completion": ["b"],
        "day": [datetime.date(2024, 2, 29)],
        "took": [datetime.timedelta(0, 90)],
    }
    table = pa.table(columns)
    pq.write_table(table, tmp_path / "a.parquet")
    assert load_rows(tmp_path / "a.parquet").rows[0].meta == {"day": "2024-02-29", "took": "0:01:30"}


SHARED = [pa.string(), pa.dictionary(pa.int32(), pa.string()), pa.string_view()]


@pytest.mark.parametrize("kind", SHARED, ids=str)
@pytest.mark.parametrize("container", ["parquet", "saved"])
def test_a_value_that_all_rows_share_takes_no_more_memory_than_its_file_allows(kind, container, tmp_path, monkeypatch):
    monkeypatch.setattr(batches, "ALWAYS", 5_000_000)
    monkeypatch.setattr(batches, "GROWTH", 5)
    texts = pa.array(["x" * 1_000_000] * 40, kind)
    if container == "parquet":
        pq.write_table(pa.table({"prompt": ["a"] * 40, "completion": texts}), tmp_path / "a.parquet")
        path = tmp_path / "a.parquet"
    else:
        table = pa.table({"prompt": ["a"] * 40, "completion": texts})
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        with pa.ipc.new_stream(tmp_path / "a.arrow", table.schema, options=options) as file:
            file.write_table(table)
        (tmp_path / "state.json").write_text('{"_data_files": [{"filename": "a.arrow"}]}')
        path = tmp_path
    assert "its records take over 4 MB, far more than the file" in refusal(path)


def test_numbers_that_all_rows_share_count_as_texts_do(tmp_path, monkeypatch):
    """Each row shows the same list: a file of 0.1 MB, and records without end."""
    monkeypatch.setattr(batches, "ALWAYS", 5_000_000)
    monkeypatch.setattr(batches, "GROWTH", 5)
    places, sizes = pa.array([0] * 400, pa.int32()), pa.array([10_000] * 400, pa.int32())
    shared = pa.ListViewArray.from_arrays(places, sizes, pa.array([1] * 10_000))
    table = pa.table({"prompt": ["a"] * 400, "completion": ["b"] * 400, "more": shared})
    with pa.ipc.new_stream(tmp_path / "a.arrow", table.schema) as file:
        file.write_table(table)
    (tmp_path / "state.json").write_text('{"_data_files": [{"filename": "a.arrow"}]}')
    assert "its records take over 4 MB, far more than the file" in refusal(tmp_path)


@pytest.mark.parametrize("value", [False, {"deep": True}, [None]], ids=str)
def test_a_long_list_of_small_values_counts_for_what_python_makes_of_it(value, tmp_path, monkeypatch):
    """A bit of the table takes 8 bytes in a list, and the table a few bytes in the file."""
    monkeypatch.setattr(batches, "ALWAYS", 5_000_000)
    monkeypatch.setattr(batches, "GROWTH", 5)
    table = pa.table({"prompt": ["a"], "completion": ["b"], "more": [[value] * 700_000]})
    pq.write_table(table, tmp_path / "a.parquet")
    assert "its records take over 4 MB, far more than the file" in refusal(tmp_path / "a.parquet")


def test_a_selection_of_a_saved_folder_is_refused(saved):
    folder, arrow = saved
    state = {"_data_files": [{"filename": arrow.name}], "_indices_data_files": [{"filename": "indices.arrow"}]}
    (folder / "state.json").write_text(json.dumps(state))
    assert "flatten_indices" in refusal(folder)


@pytest.mark.parametrize("index", [2, 2**31 - 1, -1])
def test_an_index_outside_of_a_dictionary_is_found_before_it_is_followed(index, tmp_path):
    """`datasets` converts such a column before anybody can look at it, and the process ends."""
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1, index], pa.int32()), pa.array(["a", "b"]), safe=False)
    table = pa.table({"prompt": ["a"] * 3, "completion": column})
    with pa.ipc.new_stream(tmp_path / "a.arrow", table.schema) as file:
        file.write_table(table)
    (tmp_path / "state.json").write_text('{"_data_files": [{"filename": "a.arrow"}]}')
    assert "not a readable datasets directory" in refusal(tmp_path)


@pytest.mark.parametrize("split", ["x" * 5000, "a\nb", "e\u0301" * 3000])
def test_an_impossible_split_is_one_line(split, save, tmp_path):
    save([RECORD], "train.jsonl")
    assert "no split" in refusal(tmp_path, split=split)


def test_an_error_is_one_bounded_line_whatever_it_tells_of():
    message = str(DataError("what\n\x1b[2J\u2028\u202e" + "x" * 10_000_000 + "; how to fix it"))
    assert message.startswith("what ?[2J ?x")
    assert message.endswith("x; how to fix it")
    assert len(message) < 1600
