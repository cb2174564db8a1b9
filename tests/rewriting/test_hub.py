"""A data set of the Hub is written again as Parquet with its images inside; the Hub is a folder here."""

import json
import shutil

import datasets
import pytest

from byorn.data.load import load_rows
from byorn.errors import DataError
from byorn.rewriting.edit import Edit, Job
from byorn.rewriting.files import rewrite
from byorn.rewriting.hub import with_files
from byorn.testing import tiny_rows

COUNT = 6


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """`owner/name`: an image folder, whose pictures `datasets` names by their paths."""
    folder = tmp_path / "hub/owner/name"
    (folder / "train").mkdir(parents=True)
    records = []
    for row in tiny_rows(COUNT):
        row.images[0].load().save(folder / f"train/{row.id}.png")
        named = {"file_name": f"{row.id}.png", "id": row.id}
        records.append({**named, "instruction": row.instruction, "output": row.response})
    (folder / "train/metadata.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    real = datasets.load_dataset

    def load_dataset(name, *more, **options):
        assert name == "owner/name"
        return real(str(folder), *more, cache_dir=str(tmp_path / "arrow"), **options)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr("byorn.data.opened.hub_roots", lambda: [tmp_path / "hub"])
    return tmp_path / "hub"


def write_again(loaded, out):
    """All records but the second, of which the third has a new response."""
    edits = {1: Edit(keep=False), 2: Edit(responses={0: "A new one."})}
    for part in with_files(loaded, out / "hub").parts:
        (file,) = part.source.files
        own = {number: edits.get(number, Edit()) for number in range(COUNT)}
        rewrite(Job(file.path, own, part.reader.answer, out / "data" / file.name, out / "quarantine" / file.name))
        assert {row.origin.source for row in loaded.rows} == {file.source}


def test_records_and_pictures_come_back_from_a_folder_alone(hub, tmp_path):
    write_again(load_rows("hub:owner/name"), tmp_path)
    shutil.rmtree(hub)
    before = tiny_rows(COUNT)
    kept, gone = load_rows(tmp_path / "data").rows, load_rows(tmp_path / "quarantine").rows
    assert [row.id for row in kept] == [row.id for number, row in enumerate(before) if number != 1]
    assert [row.id for row in gone] == [before[1].id]
    assert [row.response for row in kept[:3]] == [before[0].response, "A new one.", before[3].response]
    pictures = {row.id: row.images[0].load().tobytes() for row in before}
    assert all(row.images[0].load().tobytes() == pictures[row.id] for row in (*kept, *gone))


def test_an_entry_that_names_the_hub_names_the_file_then(hub, tmp_path):
    entry = {"hf_hub_url": "owner/name", "split": "train", "columns": {"prompt": "instruction", "response": "output"}}
    (tmp_path / "dataset_info.json").write_text(json.dumps({"mine": entry}))
    loaded = load_rows(tmp_path, format="hub")
    write_again(loaded, tmp_path / "out")
    (part,) = with_files(loaded, tmp_path / "again").parts
    assert part.source.entry == ("mine", {"columns": entry["columns"], "file_name": "train.parquet"})
    (tmp_path / "out/data/dataset_info.json").write_text(json.dumps(dict([part.source.entry])))
    assert len(load_rows(tmp_path / "out/data").rows) == COUNT - 1


def test_a_hub_that_is_gone_is_one_line(hub, tmp_path):
    loaded = load_rows("hub:owner/name")
    shutil.rmtree(hub)
    shutil.rmtree(tmp_path / "arrow")
    with pytest.raises(DataError, match="hub:owner/name: cannot load split 'train'"):
        with_files(loaded, tmp_path / "files")
