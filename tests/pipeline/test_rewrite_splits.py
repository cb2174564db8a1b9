"""What is rewritten is meant to be trained on; data that are named as those of a test are warned of."""

from pathlib import Path

import pytest
from scan_and_rewrite import rewrite, scan, scanned

from byorn.data.files import write_rows
from byorn.data.opened import DataFile
from byorn.data.spec import DataSpec
from byorn.pipeline.rewritten import warn_of_split
from byorn.testing import tiny_rows


def test_a_rewriting_of_a_validation_split_says_what_it_is(tmp_path, capsys):
    scanned(tmp_path)
    assert rewrite(tmp_path, "scan", "clean", "drop") == 0
    assert "warning" not in capsys.readouterr().err
    write_rows(tiny_rows(8), tmp_path / "val2017")
    assert scan(tmp_path, "val2017", "of-val") == 0
    assert rewrite(tmp_path, "of-val", "clean-val", "drop") == 0
    assert capsys.readouterr().err.count("warning: 'val2017' is named as a validation split is") == 1


@pytest.mark.parametrize(
    ("source", "split", "files", "warned"),
    [
        ("coco", "train", ["data/train-00000-of-00001.parquet"], None),
        ("dev", "train", ["train.jsonl"], None),
        ("coco", "train", ["train.json", "val.json"], None),
        ("mix", "train", ["train_and_eval/rows.jsonl"], None),
        ("coco_test", "train", ["rows.jsonl"], "'coco_test' is named as a test split is"),
        ("saved", "dev", ["validation"], "'dev' is named as a validation split is"),
        ("test", "train", ["."], "'test' is named as a test split is"),
        ("test", "train", [], None),  # on the Hub
        ("owner/rows", "validation", [], "'validation' is named as a validation split is"),
    ],
)
def test_splits_are_told_by_their_names(source, split, files, warned, capsys):
    listed = [DataFile(name, Path(source, name), name) for name in files]
    warn_of_split(DataSpec(source=source, split=split), listed)
    said = capsys.readouterr().err
    assert warned in said if warned else said == ""
