"""Rows lie in a mapped table and are made when they are read: the same rows, in the same order, in little memory."""

import errno
import json
import os
import tempfile
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from byorn.data import images, load, stored
from byorn.data.dataset import to_dataset
from byorn.data.fingerprint import fingerprint
from byorn.data.load import load_rows
from byorn.data.row import ImageFile, Origin, Row, user_message
from byorn.data.stored import Rows, keys_of, responses_of
from byorn.errors import DataError
from byorn.testing import tiny_rows

ODD = Row(
    id="größe #2",
    turn=3,
    prompt=[
        {"role": "system", "content": [{"type": "text", "text": ""}]},
        {
            "role": "user",
            "content": [{"type": "image"}, {"type": "text", "text": "日本 \U0001f600"}, {"type": "image"}],
        },
        {"role": "assistant", "content": []},
    ],
    response="",
    images=[ImageFile(path="/data/\udcff.png", name="\udcff.png"), ImageFile(data=b"\xff\x00", name=None)],
    meta={"b": {"c": [1, None, 2.5]}, "a": "x", "big": 10**30},
    origin=Origin("mm:im\udcffages.json", 7),
)


def kept(rows: list[Row]) -> Rows:
    return stored.stored(rows)


@pytest.fixture
def odd(tmp_path: Path) -> Row:
    path = tmp_path / "\udcff.png"
    Image.new("RGB", (2, 2)).save(path)
    return replace(ODD, images=[ImageFile(path=str(path), name="\udcff.png"), ODD.images[1]])


@pytest.mark.parametrize("together", [1, 2, 1024])
def test_rows_come_back_as_they_were_wherever_a_batch_ends(together, odd, monkeypatch):
    monkeypatch.setattr(stored, "ROWS", together)
    rows = [
        *tiny_rows(3),
        odd,
        replace(tiny_rows(1)[0], meta={"source": "web"}, prompt=[user_message("Hi")], images=[]),
    ]
    found = kept(rows)
    assert found == rows
    assert list(found) == rows
    assert [row.origin for row in found] == [row.origin for row in rows]
    assert [image.name for row in found for image in row.images] == [i.name for row in rows for i in row.images]
    assert list(found[3].meta) == ["b", "a", "big"]
    assert [found[-1], *found[1:4], *found[::-2]] == [rows[-1], *rows[1:4], *rows[::-2]]
    assert fingerprint(found) == fingerprint(rows)
    assert keys_of(found) == [row.key for row in rows]
    assert responses_of(found) == [row.response for row in rows]
    with pytest.raises(IndexError):
        found[len(rows)]


def test_bytes_of_an_image_are_read_where_they_lie_and_come_out_as_bytes():
    [row] = kept(tiny_rows(1))
    [image] = row.images
    assert isinstance(image.data, memoryview)
    assert image.read() == tiny_rows(1)[0].images[0].data
    assert image == tiny_rows(1)[0].images[0]
    assert hash(image) == hash(tiny_rows(1)[0].images[0])


def test_a_file_whose_name_is_not_unicode_can_be_scored(tmp_path):
    Image.new("RGB", (3, 2), "red").save(tmp_path / "caf\udce9.png")
    record = {"image": "caf\udce9.png", "prompt": "Look", "completion": "A box."}
    (tmp_path / "rows.jsonl").write_text(json.dumps(record))
    loaded = load_rows(tmp_path / "rows.jsonl")
    assert loaded.rows[0].images[0].path == str(tmp_path / "caf\udce9.png")
    assert to_dataset(loaded.rows)[0]["images"][0].size == (3, 2)


def test_no_row_stays_in_memory(save):
    path = save([{"prompt": f"What is it? {i}", "completion": "A box. " * 20, "source": "web"} for i in range(4000)])
    load_rows(path, limit=1)  # imports
    tracemalloc.start()
    loaded = load_rows(path)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(loaded.rows) == 4000
    assert held < 4000 * 300  # as objects they take over 2,000 bytes each


@pytest.mark.parametrize("rows", [1, 3, 1024])
def test_records_are_rejected_in_order_and_each_image_is_opened_once(rows, save, tmp_path, monkeypatch):
    opened = []
    look = images._problem_of
    monkeypatch.setattr(images, "_problem_of", lambda image, *rest: (opened.append(image.name), look(image, *rest))[1])
    monkeypatch.setattr(load, "ROWS", rows)
    (tmp_path / "bad.png").write_bytes(b"no image")
    Image.new("RGB", (2, 2)).save(tmp_path / "good.png")
    records = [
        {"id": f"r{i}", "image": name, "prompt": "a", "completion": "b"}
        for i, name in enumerate(["good.png", "bad.png"] * 3)
    ]
    records.insert(2, {"id": "empty", "prompt": "a", "completion": ""})
    loaded = load_rows(save(records))
    assert [row.id for row in loaded.rows] == ["r0", "r2", "r4"]
    assert [reject.id for reject in loaded.rejects] == ["r1", "empty", "r3", "r5"]
    assert sorted(opened) == ["bad.png", "good.png"]
    assert loaded.fingerprint == fingerprint(loaded.rows)


def test_a_full_disk_is_told_of_in_one_line(monkeypatch):
    def full() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    monkeypatch.setattr(stored, "ROWS", 2)
    with pytest.raises(DataError, match=r"no room for the rows.*; point TMPDIR to a larger disk"):
        kept(tiny_rows(2))
