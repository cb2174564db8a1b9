"""Files and folders are opened by what is inside them, and what is broken is said in one line."""

import json

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_samples import png

from byorn.data.load import load_rows, require_no_rejects
from byorn.data.rejects import write_rejects
from byorn.data.row import Origin
from byorn.errors import ByornError, DataError

RECORD = {"prompt": "Look", "completion": "A box."}


def test_one_malformed_line_is_a_reject_with_its_number(save, tmp_path):
    path = save([RECORD, RECORD], "rows.jsonl")
    path.write_bytes(b'{"prompt": "a", "completion": "b"}\n\n{"prompt": \n\xff\xfe\n[1]\n' + path.read_bytes())
    loaded = load_rows(path)
    assert len(loaded.rows) == 3
    assert [(reject.index, reject.field) for reject in loaded.rejects] == [(2, "line 3"), (3, "line 4"), (4, "record")]


def test_a_name_that_a_file_cannot_have_is_said_as_it_may_come_from_a_yaml_file(save):
    with pytest.raises(DataError, match="a file holds no entry 'mine'; point to its folder, or leave the name out"):
        load_rows(save([RECORD], "rows.json"), name="mine")


def test_a_malformed_json_file_is_an_error_with_line_and_column(tmp_path):
    path = tmp_path / "data.json"
    path.write_text('[\n {"prompt": "a",}\n]')
    with pytest.raises(DataError, match="line 2, column"):
        load_rows(path)


@pytest.mark.parametrize(
    "content", [b"", b"not data", b"[" * 100_000, b"[" + b"9" * 5000 + b"]", b'[{"a": "\xff"}]', b"[]", b"[1, null]"]
)
@pytest.mark.parametrize("name", ["data.json", "data.jsonl", "data.parquet"])
def test_broken_files_end_in_one_clear_line(content, name, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        load_rows(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_deeply_nested_columns_are_a_reject_and_not_a_crash(save, tmp_path):
    path = save([RECORD], "rows.jsonl")
    nested = "[" * 900 + "]" * 900
    path.write_text(path.read_text() + '{"prompt": "a", "completion": "b", "x": ' + nested + "}\n")
    loaded = load_rows(path)
    assert len(loaded.rows) + len(loaded.rejects) == 2
    assert loaded.rows[0].response == "A box."


def test_jsonl_under_the_name_of_json_and_records_in_an_object_are_understood(save, tmp_path):
    lines = save([RECORD, RECORD], "rows.jsonl").rename(tmp_path / "rows.json")
    assert len(load_rows(lines).rows) == 2
    assert len(load_rows(save({"version": 1, "data": [RECORD]})).rows) == 1
    assert len(load_rows(save(RECORD)).rows) == 1


def test_a_byte_order_mark_is_no_problem(tmp_path):
    path = tmp_path / "data.json"
    path.write_text(json.dumps([RECORD]), encoding="utf-8-sig")
    assert len(load_rows(path).rows) == 1


def test_parquet_is_read_in_batches_with_images_as_bytes(tmp_path):
    rows = [{"prompt": "Look", "completion": str(n), "images": [{"bytes": png(), "path": None}]} for n in range(600)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "train.parquet")
    loaded = load_rows(tmp_path / "train.parquet")
    assert [row.response for row in loaded.rows] == [str(n) for n in range(600)]
    assert loaded.rows[0].images[0].data == png()


def test_a_folder_of_parquet_files_takes_those_of_the_split_in_order(tmp_path):
    for name in ("train-00001", "train-00000", "test-00000"):
        pq.write_table(pa.Table.from_pylist([{"prompt": "a", "completion": name}]), tmp_path / f"{name}.parquet")
    assert [row.response for row in load_rows(tmp_path).rows] == ["train-00000", "train-00001"]
    assert [row.response for row in load_rows(tmp_path, split="test").rows] == ["test-00000"]
    with pytest.raises(
        DataError, match=r"no split 'dev'.*train: train-00000.parquet, train-00001.parquet; test: test-00000.parquet"
    ):
        load_rows(tmp_path, split="dev")


@pytest.mark.parametrize(
    "columns", [{"file_name": "a.png"}, {"images_file_names": ["a.png"]}, {"file_names": ["a.png"]}]
)
def test_an_image_folder_with_metadata(columns, save, picture, tmp_path):
    picture("train/a.png")
    save([{**columns, "caption": "A red box."}], "train/metadata.jsonl")
    [row] = load_rows(tmp_path).rows
    assert (row.response, row.images[0].name) == ("A red box.", "a.png")
    assert load_rows(tmp_path, format="imagefolder").rows == [row]


def test_metadata_above_the_splits_of_an_image_folder_give_each_split_its_own_rows(save, picture, tmp_path):
    """Read as one, the rows of `test` would be learned."""
    places = ["train/a.png", "./val/b.png", "test/c.png", "d.png"]
    for place in places:
        picture(place)
    save([{"file_name": place, "caption": f"In {place}."} for place in places], "metadata.jsonl")

    loaded = load_rows(tmp_path)
    assert [(row.response, row.origin.record) for row in loaded.rows] == [("In train/a.png.", 0), ("In d.png.", 3)]
    assert any("images in test/, val/ are of another split than 'train' and left out" in note for note in loaded.notes)
    assert [row.response for row in load_rows(tmp_path, split="validation").rows] == ["In ./val/b.png."]
    assert [row.response for row in load_rows(tmp_path, split="test").rows] == ["In test/c.png."]
    with pytest.raises(DataError, match="no split 'later'; use one of test, train, validation"):
        load_rows(tmp_path, split="later")


def test_folders_of_splits_may_have_more_in_their_names_and_paths_may_be_whole_ones(save, picture, tmp_path):
    places = ["train2017/a.png", "val2017/b.png", str(tmp_path / "val2017/c.png"), "train2017/../val2017/d.png"]
    for place in places:
        picture(place)
    save([{"file_name": place, "caption": place[-5:]} for place in places], "metadata.jsonl")
    assert [row.response for row in load_rows(tmp_path).rows] == ["a.png"]
    assert [row.response for row in load_rows(tmp_path, split="val").rows] == ["b.png", "c.png", "d.png"]


def test_folders_of_things_are_no_splits(save, picture, tmp_path):
    """Nothing is left out of a data set about test tubes."""
    places = ["test-tubes/a.png", "dev-boards/b.png", "trains/c.png"]
    for place in places:
        picture(place)
    save([{"file_name": place, "caption": "A thing."} for place in places], "metadata.jsonl")
    assert len(load_rows(tmp_path).rows) == len(places)


def test_a_split_of_an_image_folder_may_have_its_other_name(save, picture, tmp_path):
    picture("val/a.png")
    save([{"file_name": "a.png", "caption": "A red box."}], "val/metadata.jsonl")
    assert [row.response for row in load_rows(tmp_path, split="validation").rows] == ["A red box."]


def test_a_datasets_directory_gives_encoded_images(tmp_path):
    features = datasets.Features(
        {"prompt": datasets.Value("string"), "completion": datasets.Value("string"), "image": datasets.Image()}
    )
    table = {"prompt": ["Look"], "completion": ["Red."], "image": [{"bytes": png(), "path": None}]}
    saved = datasets.Dataset.from_dict(table, features=features)
    saved.save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"train": saved}).save_to_disk(tmp_path / "many")
    for folder in ("one", "many"):
        [row] = load_rows(tmp_path / folder).rows
        assert (row.response, row.images[0].data) == ("Red.", png())
    with pytest.raises(DataError, match="no split 'test'; use one of train"):
        load_rows(tmp_path / "many", split="test")


def test_rows_without_splits_are_not_given_out_as_another_split(save, picture, tmp_path):
    """Evaluated on `test`, a model would be asked about the rows that it was trained on."""
    picture("album/a.png")
    save([{"file_name": "a.png", "caption": "A red box."}], "album/metadata.jsonl")
    save([{"prompt": "a", "completion": "b"}], "written/rows.jsonl")
    datasets.Dataset.from_dict({"prompt": ["a"], "completion": ["b"]}).save_to_disk(tmp_path / "saved")
    for folder in ("album", "written", "saved"):
        assert len(load_rows(tmp_path / folder).rows) == 1
        with pytest.raises(DataError, match=f"{folder}: no split 'test', its rows are all there is"):
            load_rows(tmp_path / folder, split="test")
    part = datasets.Dataset.from_dict({"prompt": ["a"], "completion": ["b"]}, split="test")
    part.save_to_disk(tmp_path / "part")
    assert len(load_rows(tmp_path / "part", split="test").rows) == 1


def test_a_table_cannot_point_at_files_elsewhere(tmp_path):
    (tmp_path / "secret.png").write_bytes(png())
    table = {"prompt": ["a", "b"], "completion": ["c", "d"], "image": [None, str(tmp_path / "secret.png")]}
    datasets.Dataset.from_dict(table).save_to_disk(tmp_path / "saved")
    [reject] = load_rows(tmp_path / "saved").rejects
    assert "leaves the data folder" in reject.reason


def test_a_hub_name_is_loaded_by_datasets_and_said(monkeypatch):
    asked = []

    def load_dataset(*args, **options):
        asked.append((args, options))
        return datasets.Dataset.from_list([RECORD])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    loaded = load_rows("owner/name", name="config", split="test")
    load_rows("hub:owner/other")
    assert asked == [(("owner/name", "config"), {"split": "test"}), (("owner/other", None), {"split": "train"})]
    assert "owner/name is no local path" in loaded.notes[0]


def test_a_local_folder_wins_over_a_hub_name_and_a_missing_file_is_never_looked_up(save, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets, "load_dataset", None)
    save([RECORD], "owner/name/rows.jsonl")
    assert len(load_rows("owner/name").rows) == 1
    for missing in ("owner/missing.json", "a/b/c", "missing"):
        with pytest.raises(DataError, match="no such file or folder"):
            load_rows(missing)
    with pytest.raises(DataError, match="URLs are not fetched"):
        load_rows("https://example.com/data.json")


def test_the_hub_is_asked_only_after_it_was_said(monkeypatch, caplog):
    order = []

    def load_dataset(*args, **options):
        order.append("asked")
        return datasets.Dataset.from_list([RECORD])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    [row] = load_rows("owner/name", notify=order.append).rows
    assert order == ["asking the Hub for owner/name", "asked"]
    assert row.origin == Origin("owner/name", 0)
    load_rows("owner/name")
    assert [record.getMessage() for record in caplog.records] == ["asking the Hub for owner/name"]


def test_a_misspelled_path_in_a_local_folder_is_no_hub_name(save, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets, "load_dataset", None)
    save([RECORD], "data/train.json")
    with pytest.raises(DataError, match=r"data/trian: no such file or folder \(data holds 'train.json'\)"):
        load_rows("data/trian")


@pytest.mark.parametrize(
    "name", ["dta/train", "Data/train", "data.v1/train", "dataa/x", "any/rows.tsv", "any/rows.zip"]
)
def test_a_name_that_nearly_lies_here_is_no_hub_name(name, save, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets, "load_dataset", None)
    for folder in ("data", "data.v2"):
        save([RECORD], f"{folder}/train.json")
    with pytest.raises(DataError, match=r"no such file or folder.*; correct the path, or write hub:owner/name"):
        load_rows(name)


def test_a_hub_failure_is_one_line(monkeypatch):
    def load_dataset(*args, **options):
        raise ConnectionError("offline\nlong traceback")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(DataError, match=r"hub:owner/name: cannot load split 'train' \(offline\)"):
        load_rows("owner/name")


def test_nothing_usable_is_an_error_that_shows_the_first_reject(save):
    with pytest.raises(
        DataError, match=r"none of its 2 records can be used, first: record 0 of data.json, .*response is empty"
    ):
        load_rows(save([{"prompt": "a", "completion": ""}] * 2))


def test_rejects_are_written_and_strict_callers_can_refuse_them(save, tmp_path):
    loaded = load_rows(save([RECORD, {"id": "\x1b[31m", "prompt": "a", "completion": ""}]))
    write_rejects(tmp_path / "rejects.jsonl", loaded.rejects)
    [line] = (tmp_path / "rejects.jsonl").read_text().splitlines()
    assert json.loads(line)["index"] == 1
    assert set(json.loads(line)) == {"source", "index", "id", "field", "reason", "fix"}
    with pytest.raises(ByornError, match="1 record") as caught:
        require_no_rejects(loaded)
    assert "\x1b" not in str(caught.value)
    require_no_rejects(load_rows(save([RECORD])))
