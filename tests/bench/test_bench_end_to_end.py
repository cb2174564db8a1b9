"""From an experiment file to a table and a picture, on the embedded model; a second call runs nothing."""

import json
import shutil
from contextlib import redirect_stderr
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from byorn.cli.main import main
from byorn.defenses import DEFENSES

FILE = """
title: A small one
rows: 12
test_rows: 4
seeds: [0]
attacks:
  badnets: {options: {size: 0.25}}
rates: [0.25]
plugins: [failing.py]
defenses: [sft, oracle, failing, byorn]
percentiles: [0.5]
arguments: {max_steps: 1, per_device_train_batch_size: 4}
"""

FAILING = """
from byorn.defenses import DEFENSES
from byorn.errors import DataError


def failing(case):
    raise DataError("no row is good enough")


DEFENSES["failing"] = failing
"""


BYORN = "badnets-byorn-p0.5-e0.99-r0.25-s0"


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """A folder in which the experiment has been run once; what that said is in `first.log`."""
    folder = tmp_path_factory.mktemp("bench")
    (folder / "experiments").mkdir()
    (folder / "experiments" / "mine.yaml").write_text(FILE)
    (folder / "experiments" / "failing.py").write_text(FAILING)
    with (folder / "first.log").open("w") as log, redirect_stderr(log):
        assert call(folder, "run", "mine") == 2
    yield folder
    del DEFENSES["failing"]  # tests of other files count what is in the table


def call(folder, *arguments):
    places = [f"--{name}={folder / name}" for name in ("experiments", "results", "work")]
    return main(["bench", *arguments, *places])


def test_one_failure_is_named_and_costs_its_own_cell_alone(bench):
    assert "1 failed, the rest is done; the first: badnets-failing" in (bench / "first.log").read_text()
    names = sorted(path.name for path in (bench / "results" / "mine").glob("*.json"))
    assert names == [f"badnets-{defense}-r0.25-s0.json" for defense in ("byorn-p0.5-e0.99", "oracle", "sft")]


def test_a_result_says_what_was_run_with_n_intervals_and_cost(bench):
    result = json.loads((bench / "results" / "mine" / f"{BYORN}.json").read_text())
    assert result["cell"]["group"]["attack"]["options"] == {"size": 0.25}
    assert result["figures"]["clean"]["cider"]["n"] == 4
    assert result["detection"]["poisoned"] == 3
    assert set(result["seconds"]) == set(result["peak_megabytes"]) == {"poison", "scan", "train", "evaluate"}
    assert min(result["seconds"].values()) > 0
    assert result["versions"]["torch"]


def test_what_has_a_result_is_not_run_again(bench, capsys):
    before = {path: path.stat().st_mtime_ns for path in (bench / "results" / "mine").glob("*.json")}
    assert call(bench, "run", "mine", "--only", "mine/badnets-[sbo]*") == 0
    assert "0 cells to run" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in (bench / "results" / "mine").glob("*.json")} == before


def test_a_changed_experiment_does_not_reuse_old_results(bench, capsys):
    path = bench / "experiments" / "mine.yaml"
    path.write_text(FILE.replace("max_steps: 1", "max_steps: 2"))
    assert call(bench, "run", "mine") == 2
    assert "made with arguments.max_steps=1, not 2" in capsys.readouterr().err
    path.write_text(FILE)


def test_a_setting_that_a_defense_does_not_read_leaves_its_results_valid(bench, capsys):
    path = bench / "experiments" / "mine.yaml"
    path.write_text(FILE.replace("[0.5]", "[0.9]"))
    assert call(bench, "run", "mine", "--only", "mine/badnets-[so]*") == 0
    assert "0 cells to run" in capsys.readouterr().err
    path.write_text(FILE)


@pytest.mark.parametrize(
    ("now", "says"),
    [
        (('"lora_rank"', '"lora_targets": "x", "lora_rank"'), "made with lora_targets='x', not None"),
        (('"cell"', '"cells"'), "no result file"),
        (("{", "["), "no result file"),
    ],
)
def test_a_result_of_other_settings_or_a_broken_one_stops_the_run_in_one_line(bench, capsys, now, says):
    path = bench / "results" / "mine" / "badnets-sft-r0.25-s0.json"
    before = path.read_text()
    path.write_text(before.replace(*now, 1))
    assert call(bench, "run", "mine") == 2
    assert says in capsys.readouterr().err.strip().splitlines()[-1]
    path.write_text(before)


def test_no_processes_at_all_are_refused(bench, capsys):
    assert call(bench, "run", "mine", "--jobs", "0") == 2
    assert "jobs: 0 is not above 0" in capsys.readouterr().err


def test_the_table_and_the_plots_come_from_the_results(bench, capsys):
    assert call(bench, "table", "mine", "--format", "json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["defense"] for row in rows] == ["byorn", "oracle", "sft"]
    assert call(bench, "plot", "mine") == 0
    pictures = capsys.readouterr().out.split()
    assert len(pictures) == 2
    drawn = [Path(picture).read_text() for picture in pictures]
    assert all("<svg" in text for text in drawn)
    assert call(bench, "plot", "mine") == 0
    assert [Path(picture).read_text() for picture in pictures] == drawn


def test_the_curve_of_the_score_lies_in_the_result(bench):
    result = json.loads((bench / "results" / "mine" / f"{BYORN}.json").read_text())
    curve, auc = result["detection"]["roc"], result["detection"]["auc"]
    assert (curve["false"][0], curve["true"][0], curve["false"][-1], curve["true"][-1]) == (0, 0, 1, 1)
    assert abs(np.trapezoid(curve["true"], curve["false"]) - auc) < 1e-3
    assert len(result["source"]) == 12


def test_without_a_defense_that_scores_rows_there_is_no_curve_and_that_is_said(bench, capsys):
    (bench / "experiments" / "plain.yaml").write_text("extends: mine\ntitle: Plain\ndefenses: [sft]\n")
    shutil.copytree(
        bench / "results" / "mine", bench / "results" / "plain", ignore=shutil.ignore_patterns("*byorn*", "*oracle*")
    )
    assert call(bench, "plot", "plain") == 0
    said = capsys.readouterr()
    assert len(said.out.split()) == 1
    assert "plain: no ROC curves; no result holds one" in said.err


def test_an_experiment_that_is_named_twice_counts_once(bench, capsys):
    assert call(bench, "table", "mine", "mine", "--format", "json") == 0
    assert [row["seeds"] for row in json.loads(capsys.readouterr().out)] == [1, 1, 1]


def format_of(picture):
    with Image.open(picture) as opened:
        return opened.format


def test_plots_are_png_when_asked_and_no_table(bench, capsys):
    assert call(bench, "plot", "mine", "--format", "png") == 0
    pictures = capsys.readouterr().out.split()
    assert [format_of(picture) for picture in pictures] == ["PNG", "PNG"]
    assert call(bench, "plot", "mine", "--format", "html") == 2
    assert "--format html: plot writes svg or png" in capsys.readouterr().err
    assert call(bench, "run", "mine", "--format", "html") == 2
    assert "--format html: run writes result files only" in capsys.readouterr().err


def test_a_pattern_that_fits_no_cell_is_an_error_that_names_one(tmp_path, capsys):
    (tmp_path / "mine.yaml").write_text("title: t\nattacks: {badnets: }\ndefenses: [sft]\nseeds: [0]\n")
    places = ["--experiments", str(tmp_path), "--results", str(tmp_path / "r"), "--work", str(tmp_path / "w")]
    assert main(["bench", "run", "mine", *places, "--only", "mine/badnet-sft*"]) == 2
    assert (
        "no cell fits 'mine/badnet-sft*'; a cell is called 'mine/badnets-sft-r0.1-s0', say" in capsys.readouterr().err
    )
