"""Flags are compared with the rows that are known to be poisoned, however those are named."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from byorn.errors import DataError
from byorn.evaluation.detection import detection, read_truth
from byorn.flagging.percentile import flag_percentile
from byorn.scoring.statistics import STATISTICS
from byorn.scoring.table import Scores
from byorn.testing import tiny_rows
from poisoning import poison

KEYS = {("a", 0), ("b 2", 1)}
FILES = {
    "truth.txt": "a\n\nb 2\t1\n",
    "truth.tsv": "a\t0\nb 2\t1",
    "truth.csv": "split,id,turn\ntrain,a,\ntrain,b 2,1\n",
    "bom.csv": "\ufeffid,turn\na,0\nb 2,1\n",
    "truth.json": json.dumps(["a", {"id": "b 2", "turn": 1}]),
}
BROKEN = {
    "empty.txt": "",
    "turn.txt": "a\tone\n",
    "column.csv": "name\na\n",
    "short.csv": "turn,id\n1\n",
    "object.json": '{"a": 1}',
    "nested.json": '[["a"]]',
    "null.json": '[{"id": null}]',
    "endless.json": '[{"id": "a", "turn": 1e999}]',
    "deep.json": "[" * 100_000,
    "broken.json": '["a"',
}


def scored(values: list[float]) -> Scores:
    ids, count = [f"r{index}" for index in range(len(values))], len(values)
    statistics = {name: np.array(values) for name in STATISTICS}
    return Scores(ids, [0] * count, statistics, np.ones(count, int), [None] * count)


@pytest.mark.parametrize("name", FILES)
def test_a_truth_of_ones_own_is_read_from_text_csv_and_json(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(FILES[name], encoding="utf-8")
    assert read_truth(str(tmp_path / name)) == KEYS


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_list_of_ids_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(BROKEN[name], encoding="utf-8")
    with pytest.raises(DataError, match=f"^truth: .*{name}") as refusal:
        read_truth(tmp_path / name)
    assert "\n" not in str(refusal.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nobody\.txt"):
        read_truth(tmp_path / "nobody.txt")


def test_detection_counts_what_the_flags_catch_and_what_they_mistake() -> None:
    scores = scored([1.0, 2.0, 3.0, 9.0, 8.0])
    found = detection(scores, flag_percentile(scores, 0.4), {("r3", 0), ("r4", 0)})
    assert (found.auc, found.recall) == (1.0, 1.0)
    assert found.false_flag_share == pytest.approx(1 / 3)
    assert (found.poisoned, found.clean) == (2, 3)
    low, high = found.recall_interval
    assert 0 < low < high == 1
    assert list(asdict(found)) == ["auc", "recall", "recall_interval", "false_flag_share", "poisoned", "clean"]


def test_the_manifest_stands_for_the_folder_of_the_poison_and_its_negatives_are_clean(tmp_path: Path) -> None:
    manifest = poison(tiny_rows(50), out=tmp_path, attack="dual-key", target="banana", rate=0.1, seed=0)
    poisoned = read_truth(tmp_path)
    assert (poisoned, len(manifest.negatives)) == (manifest.keys, 10)
    assert [read_truth(tmp_path / name) for name in ("manifest.jsonl", "manifest.json")] == [poisoned, poisoned]


def test_a_truth_of_other_data_is_told_by_its_first_name() -> None:
    scores = scored([1.0, 2.0])
    with pytest.raises(DataError, match=r"called as one of the 2 that .*, such as 'cat', turn 0; name rows of"):
        detection(scores, flag_percentile(scores, 0.5), {("dog", 0), ("cat", 0)})


def test_a_truth_that_knows_no_row_or_every_row_compares_nothing() -> None:
    scores = scored([1.0, 2.0])
    for poisoned in (set(), {("r0", 0), ("r1", 0)}):
        with pytest.raises(DataError, match="both kinds are needed"):
            detection(scores, flag_percentile(scores, 0.5), poisoned)
