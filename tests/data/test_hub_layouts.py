"""Folders as the Hub lays them out hold the rows, in the order, that `datasets.load_dataset` finds there."""

import json
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from byorn.data.load import load_rows
from byorn.data.row import Origin
from byorn.errors import DataError


def lay(folder: Path, *names: str) -> None:
    """Writes data files that hold two records each, whose completions name the file."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        records = [{"prompt": "Look", "completion": f"{name} {number}"} for number in range(2)]
        if name.endswith(".parquet"):
            pq.write_table(pa.Table.from_pylist(records), path)
        else:
            path.write_text("".join(json.dumps(record) + "\n" for record in records))


def card(folder: Path, text: str) -> None:
    (folder / "README.md").write_text(f"---\n{text}---\n# Rows\n")


def loaded_by_datasets(folder: Path, split: str, name: str | None, cache: Path) -> list[str]:
    return datasets.load_dataset(str(folder), name, split=split, cache_dir=str(cache))["completion"][:]


CONFIGS = """configs:
- config_name: en
  default: true
  data_files:
  - split: train
    path: english/a-*.parquet
  - split: test
    path: [english/b-0.parquet, english/b-1.parquet]
- config_name: de
  data_files: "german/**/*.parquet"
- config_name: fr
  data_dir: french
"""
CONFIG_FILES = (
    *(f"english/{part}-{shard}.parquet" for part in "ab" for shard in (1, 0)),
    *("german/y/0.parquet", "german/x/1.parquet", "german/0.parquet"),
    *("french/train/1.parquet", "french/test/1.parquet"),
)


@pytest.mark.parametrize(
    ("files", "header", "name", "split"),
    [
        (("data/train-00001-of-00002.parquet", "data/train-00000-of-00002.parquet"), "", None, "train"),
        (("data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet", "other.parquet"), "", None, "test"),
        (("data/train-00000-of-00001.parquet", "data/held_out-00000-of-00001.parquet"), "", None, "held_out"),
        (("train/b.parquet", "train/a.parquet", "test/c.parquet", "stray.parquet"), "", None, "train"),
        (("deep/er/training/b.parquet", "deep/er/my_train/a.parquet", "val/c.parquet"), "", None, "train"),
        (("deep/er/training/b.parquet", "deep/er/my_train/a.parquet", "val/c.parquet"), "", None, "validation"),
        (("default/train/0001.parquet", "default/train/0000.parquet", "default/eval/0.parquet"), "", None, "train"),
        (("train.jsonl", "my-train.1.jsonl", "dev.jsonl"), "", None, "train"),
        (("train.jsonl", "my-train.1.jsonl", "dev.jsonl"), "", None, "validation"),
        (("sub/train.jsonl", "sub/constrained.jsonl", "trainer.jsonl"), "", None, "train"),
        (("b.parquet", "a.parquet"), "", None, "train"),
        (("x/b.parquet", "x/a.parquet", ".hidden/c.parquet", "__cache__/d.parquet"), "", None, "train"),
        (CONFIG_FILES, CONFIGS, None, "train"),
        (CONFIG_FILES, CONFIGS, "en", "test"),
        (CONFIG_FILES, CONFIGS, "de", "train"),
        (CONFIG_FILES, CONFIGS, "fr", "test"),
    ],
)
def test_the_same_files_in_the_same_order_as_load_dataset(files, header, name, split, tmp_path):
    folder = tmp_path / "rows"
    lay(folder, *files)
    if header:
        card(folder, header)
    found = [row.response for row in load_rows(folder, name=name, split=split).rows]
    assert found == loaded_by_datasets(folder, split, name, tmp_path / "cache")


def test_every_row_names_its_shard_and_its_record(tmp_path):
    lay(tmp_path, "data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet")
    assert [row.origin for row in load_rows(tmp_path).rows] == [
        Origin(f"data/train-0000{shard}-of-00002.parquet", record) for shard in (0, 1) for record in (0, 1)
    ]


def test_dev_and_val_are_the_validation_split(tmp_path):
    lay(tmp_path, "train.jsonl", "valid.jsonl")
    assert [row.origin.source for row in load_rows(tmp_path, split="val").rows] == ["valid.jsonl"] * 2


def test_several_json_files_without_a_split_may_be_alternatives_and_are_not_mixed(tmp_path):
    lay(tmp_path, "llava.jsonl", "blip.jsonl", "images/meta/notes.jsonl")
    with pytest.raises(DataError, match=r"several data files \(blip.jsonl, llava.jsonl\) and none is named train"):
        load_rows(tmp_path)
    (tmp_path / "blip.jsonl").unlink()
    assert load_rows(tmp_path).rows[0].origin.source == "llava.jsonl"


def test_what_is_not_there_is_answered_with_what_is(tmp_path):
    lay(tmp_path, "data/train-00000-of-00001.parquet")
    with pytest.raises(DataError, match=r"no split 'test'; use one of those found \(train: data/train-00000-of-00001"):
        load_rows(tmp_path, split="test")
    with pytest.raises(DataError, match=r"neither dataset_info.json nor configs in README.md to take 'en' from"):
        load_rows(tmp_path, name="en")
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "a.csv").touch()
    with pytest.raises(DataError, match=r"no data file .* inside \(found: 'a.csv'\)"):
        load_rows(tmp_path / "tables")


@pytest.mark.parametrize(
    ("header", "name", "message"),
    [
        (CONFIGS, "es", r"README.md: no configuration 'es'; pass a name out of: 'en', 'de', 'fr'"),
        (CONFIGS.replace("  default: true\n", ""), None, r"which configuration\? pass a name out of"),
        ("configs: [1]\n", None, "configs must be a list"),
        ("configs: [\n", None, "its header is no YAML"),
        ("configs:\n- config_name: a\n  data_files: 5\n", None, "data_files must be paths"),
        ("configs:\n- config_name: a\n  data_files: '*.csv'\n", None, "split 'train': only a.csv matches"),
        ("configs:\n- config_name: a\n  data_files: no/*.parquet\n", None, "nothing matches"),
        ("configs:\n- config_name: a\n  data_dir: none\n", None, "correct data_dir"),
        *(
            (f"configs:\n- config_name: a\n  data_files: {path!r}\n", None, "leaves the folder")
            for path in ("../*.parquet", "/etc/*", "https://example.com/a.parquet", "hf://datasets/a/b/c.parquet")
        ),
        ("configs:\n- config_name: a\n  data_files: '**/**/x/**/y/**/z/**/*.parquet'\n", None, "make it simpler"),
        (f"configs:\n- config_name: a\n  data_files: {'x' * 6000}\n", None, "make it simpler"),
        ("configs:\n- config_name: a\n  data_dir: ..\n", None, "leaves the folder"),
    ],
)
def test_a_hostile_or_mistaken_card_is_one_line(header, name, message, tmp_path):
    lay(tmp_path, "english/a-0.parquet")
    (tmp_path / "a.csv").touch()
    card(tmp_path, header)
    with pytest.raises(DataError, match=message) as refused:
        load_rows(tmp_path, name=name)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 500
