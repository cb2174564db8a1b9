"""A data set names its own files, images and rows; none of these names leads a rewriting out of its folder."""

import json
import os
import shutil

import datasets
import numpy as np
import pytest
from PIL import Image
from test_rewrite import place, rewrite, scan

from byorn.cli.main import main
from byorn.data.load import load_rows

__all__ = ["place"]


def pictures(folder, count=8):
    (folder / "images").mkdir(parents=True)
    for number in range(count):
        Image.fromarray(np.full((8, 8, 3), 20 * number, np.uint8)).save(folder / "images" / f"{number}.png")


def sharegpt(number, image=None):
    talk = [{"from": "human", "value": "<image>what color?"}, {"from": "gpt", "value": f"a gray square {number}"}]
    return {"id": f"r{number}", "conversations": talk, "image": image or f"images/{number}.png"}


def llama_factory(folder, files):
    pictures(folder)
    columns = {"messages": "conversations", "images": "image"}
    info = {name: {"file_name": file, "formatting": "sharegpt", "columns": columns} for name, file in files.items()}
    (folder / "dataset_info.json").write_text(json.dumps(info))


@pytest.mark.parametrize("absolute", [False, True])
def test_a_file_name_that_leaves_the_folder_and_comes_back_does_not_lead_to_the_source(
    absolute, place, tmp_path, monkeypatch
):
    folder = tmp_path / "data/lf"
    llama_factory(folder, {"mm": str(folder / "mm.json") if absolute else "../../data/lf/mm.json"})
    (folder / "mm.json").write_text(json.dumps([sharegpt(number) for number in range(8)]))
    before = (folder / "mm.json").read_bytes()
    monkeypatch.chdir(tmp_path)
    command = ["scan", "--model", str(place / "model"), "--data", "data/lf", "--name", "mm", "--rule", "paper"]
    assert main([*command, "--device", "cpu", "--show", "0", "--no-report", "--out", "scan"]) == 0
    assert main(["rewrite", "scan", "--mode", "drop", "--out", "clean"]) == 0
    assert (folder / "mm.json").read_bytes() == before
    assert len(json.loads((tmp_path / "clean/data/mm.json").read_text())) == 5


def test_neither_does_a_name_in_a_saved_data_set(place, tmp_path):
    rows = [{"id": f"r{n}", "question": f"{n}?", "answer": f"a {n}"} for n in range(8)]
    datasets.Dataset.from_list(rows).save_to_disk(tmp_path / "set")
    state = json.loads((tmp_path / "set/state.json").read_text())
    (part,) = state["_data_files"]
    before = (tmp_path / "set" / part["filename"]).read_bytes()
    name, part["filename"] = part["filename"], f"../set/{part['filename']}"
    (tmp_path / "set/state.json").write_text(json.dumps(state))
    assert scan(place, tmp_path / "set", tmp_path / "scan") == 0
    assert rewrite(place, tmp_path / "scan", tmp_path / "clean", "drop") == 0
    assert (tmp_path / "set" / name).read_bytes() == before
    assert (tmp_path / "clean/data" / name).is_file()


def test_an_image_name_that_ends_in_a_slash_is_no_file(tmp_path):
    pictures(tmp_path)
    names = ["images/0.png", "images/1.png/", "images/1.png/../2.png"]
    (tmp_path / "rows.json").write_text(json.dumps([sharegpt(n, name) for n, name in enumerate(names)]))
    loaded = load_rows(tmp_path / "rows.json", notify=lambda line: None)
    assert ([row.id for row in loaded.rows], len(loaded.rejects)) == (["r0"], 2)


def test_an_entry_without_records_left_is_not_listed(place, tmp_path):
    folder = tmp_path / "lf"
    llama_factory(folder, {"a": "a.json", "b": "b.json"})
    (folder / "a.json").write_text(json.dumps([sharegpt(number) for number in range(4)]))
    (folder / "b.json").write_text(json.dumps([sharegpt(number) for number in range(4, 8)]))
    assert scan(place, folder, tmp_path / "scan", "--name", "a,b") == 0
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "scan/flags.parquet"
    table = pq.read_table(path)
    words = ["keep"] * 4 + ["drop"] * 4
    pq.write_table(table.set_column(table.column_names.index("review"), "review", pa.array(words)), path)
    assert rewrite(place, tmp_path / "scan", tmp_path / "clean", "drop") == 0
    assert list(json.loads((tmp_path / "clean/data/dataset_info.json").read_text())) == ["a"]
    assert list(json.loads((tmp_path / "clean/quarantine/dataset_info.json").read_text())) == ["b"]


def test_lines_in_a_file_called_json_stay_readable(place, tmp_path):
    """A blank line near the top of what is left would make it look like one JSON value."""
    pictures(tmp_path)
    lines = [json.dumps(sharegpt(number)) for number in range(8)]
    (tmp_path / "rows.json").write_text("\n".join([*lines[:2], "", *lines[2:]]) + "\n")
    assert scan(place, tmp_path / "rows.json", tmp_path / "scan") == 0
    assert rewrite(place, tmp_path / "scan", tmp_path / "clean", "drop") == 0
    assert len(load_rows(tmp_path / "clean/data/rows.json").rows) == 5


def test_a_refused_start_does_not_block_its_own_folder(place, tmp_path):
    pictures(tmp_path)
    (tmp_path / "rows.json").write_text(json.dumps([sharegpt(number) for number in range(8)]))
    assert scan(place, tmp_path / "rows.json", tmp_path / "scan") == 0
    shutil.move(tmp_path / "images/1.png", tmp_path / "away.png")
    assert rewrite(place, tmp_path / "scan", tmp_path / "clean", "drop") == 2
    assert os.listdir(tmp_path / "clean") == ["rejects.jsonl"]
    shutil.move(tmp_path / "away.png", tmp_path / "images/1.png")
    assert rewrite(place, tmp_path / "scan", tmp_path / "clean", "drop") == 0


@pytest.mark.parametrize("name", [10**600, "x" * 512])
def test_long_names_stay_within_their_limit(name, tmp_path):
    pictures(tmp_path)
    rows = [{**sharegpt(number), "id": name} for number in range(2)]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    found = [row.id for row in load_rows(tmp_path / "rows.json", notify=lambda line: None).rows]
    assert len(set(found)) == 2
    assert max(map(len, found)) <= 512


def test_what_the_next_reader_cannot_use_is_said(place, tmp_path, capsys):
    """Images that are named by where they are on this machine are not in the new folder under that name."""
    pictures(tmp_path)
    rows = [sharegpt(number, str(tmp_path / f"images/{number}.png")) for number in range(8)]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    assert scan(place, tmp_path / "rows.json", tmp_path / "scan") == 0
    assert rewrite(place, tmp_path / "scan", tmp_path / "clean", "drop") == 0
    assert "warning: the data set cannot be read again from" in capsys.readouterr().err
    assert rewrite(place, tmp_path / "scan", tmp_path / "left", "drop", "--images", "leave") == 0
    assert "warning" not in capsys.readouterr().err
