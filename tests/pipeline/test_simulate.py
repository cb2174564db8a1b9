"""`byorn simulate`: attacks planted in a copy of a scan's rows are scored as a scan of that copy would, and told."""

import json
import shutil
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import byorn.report
from byorn.attacks.manifest import read_manifest
from byorn.cli.main import main
from byorn.data.files import write_rows
from byorn.data.load import load_rows
from byorn.report.run import read_run
from byorn.report.simulation import read_simulation
from byorn.scoring.table import read_scores
from byorn.testing import save_tiny, tiny_rows

SCHEMA = json.loads((Path(byorn.report.__path__[0]) / "simulation.schema.json").read_text())
ATTACKS = "badnets:sentence,dual-key:word,badnets:two-image"
RATE = ("--rate", "0.1")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A scan of forty rows, and its simulation."""
    folder = tmp_path_factory.mktemp("place")
    save_tiny(folder / "model")
    write_rows(tiny_rows(40), folder / "data")
    scan(folder, "data", "scan", "--rule", "paper")
    before = contents(folder / "data")
    assert simulate(folder, "--attacks", ATTACKS) == 0
    assert contents(folder / "data") == before
    return folder


def scan(folder, data, out, *more):
    command = ["scan", "--model", str(folder / "model"), "--data", str(folder / data), "--device", "cpu"]
    assert main([*command, "--out", str(folder / out), "--show", "0", "--no-report", *more]) == 0


def simulate(folder, *more):
    return main(["simulate", str(folder / "scan"), *RATE, *more])


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def simulation(place):
    return json.loads((place / "scan/simulation/simulation.json").read_text())


def test_each_attack_is_told_by_its_figures_and_one_that_cannot_be_planted_by_its_reason(place):
    content = simulation(place)
    jsonschema.validate(content, SCHEMA)
    patch, both, pair = content["attacks"]
    assert [one["sight"]["flagged"]["n"] for one in (patch, both)] == [4, 4]
    assert patch["sight"]["false_flags"]["n"] == 36
    assert (pair["seen"], pair["sight"]) == ("not planted", None)
    assert "40 have fewer than two images" in pair["sentence"]


def test_canaries_are_numbered_and_keyed(place):
    folder = place / "scan/simulation/dual-key-word"
    lines = [json.loads(line) for line in (folder / "canaries.jsonl").read_text().splitlines()]
    assert [line["canary"] for line in lines] == [f"dual-key-word-0000{number}" for number in range(4)]
    assert {(line["id"], line["turn"]) for line in lines} == read_manifest(folder / "data").keys
    flagged = simulation(place)["attacks"][1]["sight"]["flagged"]["hits"]
    assert sum(line["flagged"] for line in lines) == flagged


def test_the_figures_are_those_of_a_scan_of_the_whole_poisoned_copy(place, tmp_path):
    """Only planted rows are scored; the others keep the scores that they have."""
    planted = load_rows(place / "scan/simulation/dual-key-word/data").rows
    changed = {row.key: row for row in planted}
    write_rows(
        [changed.get(row.key, row) for row in load_rows(place / "data").rows], tmp_path / "copy", image_root=place
    )
    shutil.copytree(place / "model", tmp_path / "model")
    scan(tmp_path, "copy", "whole", "--image-root", str(place), "--rule", "paper")
    whole = read_run(tmp_path / "whole")
    keys = read_manifest(place / "scan/simulation/dual-key-word/data").keys
    mask = np.array([row.key in keys for row in whole.rows])
    found = simulation(place)["attacks"][1]
    assert whole.flags.threshold == pytest.approx(found["threshold"], abs=1e-4)
    assert int(whole.flags.flagged[mask].sum()) == found["sight"]["flagged"]["hits"]
    assert int(whole.flags.flagged[~mask].sum()) == found["sight"]["false_flags"]["hits"]
    kept = read_scores(place / "scan/simulation/dual-key-word/scores.parquet")
    ours = dict(zip(kept.keys, kept.nll, strict=True))
    theirs = dict(zip(whole.scores.keys, whole.scores.nll, strict=True))
    assert all(theirs[key] == pytest.approx(score, abs=1e-4) for key, score in ours.items())


def test_a_killed_simulation_goes_on_and_a_finished_one_loads_no_model(place, tmp_path, monkeypatch):
    shutil.copytree(place / "scan", tmp_path / "scan")
    (tmp_path / "scan/simulation/badnets-sentence/data/manifest.json").unlink()
    (tmp_path / "scan/simulation/badnets-sentence/data/.half").mkdir()
    (tmp_path / "scan/simulation/simulation.json").unlink()
    assert simulate(tmp_path, "--attacks", ATTACKS) == 0
    assert simulation(tmp_path) == simulation(place)
    monkeypatch.setattr("byorn.pipeline.lab.load_spec", lambda spec: pytest.fail("the model is loaded"))
    assert simulate(tmp_path, "--attacks", "dual-key:word") == 0
    assert [one["name"] for one in simulation(tmp_path)["attacks"]] == ["dual-key:word"]


def test_other_settings_in_the_same_folder_are_refused(place, capsys):
    assert main(["simulate", str(place / "scan"), "--rate", "0.2"]) == 2
    assert "rate: 0.1 then, 0.2 now" in capsys.readouterr().err


def test_a_folder_of_others_is_refused(place, tmp_path, capsys):
    (tmp_path / "mine").write_text("mine")
    assert simulate(place, "--out", str(tmp_path)) == 2
    assert "no byorn simulate wrote it" in capsys.readouterr().err


@pytest.mark.parametrize("out", [".", "data/planted"])
def test_planted_rows_are_kept_out_of_the_data(place, out, no_model, capsys):
    """A later scan of that folder would find them."""
    before = contents(place)
    assert simulate(place, "--out", str(place / out)) == 2
    assert "the data set itself lies there, or around it" in capsys.readouterr().err
    assert contents(place) == before


@pytest.mark.parametrize("rule", [("--rule", "paper", "--statistic", "contrast"), ("--rule", "evidence")])
def test_a_score_that_changes_with_other_rows_is_that_of_a_scan_of_the_whole_poisoned_copy(rule, place, tmp_path):
    shutil.copytree(place / "model", tmp_path / "model")
    shutil.copytree(place / "data", tmp_path / "data")
    scan(tmp_path, "data", "scan", *rule)
    assert simulate(tmp_path, "--attacks", "dual-key:word") == 0
    folder = tmp_path / "scan/simulation/dual-key-word"
    changed = {row.key: row for row in load_rows(folder / "data").rows}
    mixed = [changed.get(row.key, row) for row in load_rows(tmp_path / "data").rows]
    write_rows(mixed, tmp_path / "copy", image_root=tmp_path)
    scan(tmp_path, "copy", "whole", "--image-root", str(tmp_path), *rule)
    whole = read_run(tmp_path / "whole")
    kept = read_scores(folder / f"{whole.statistic}.parquet")
    assert kept.keys == whole.scores.keys
    assert kept.values[whole.statistic] == pytest.approx(whole.scores.values[whole.statistic], abs=1e-3)
    assert kept.tokens.tolist() == whole.scores.tokens.tolist()
    own = read_scores(tmp_path / "scan/scores.parquet").values[whole.statistic]
    assert kept.values[whole.statistic] != pytest.approx(own, abs=1e-3)
    (found,) = simulation(tmp_path)["attacks"]
    flagged = found["sight"]["flagged"]["hits"] + found["sight"]["false_flags"]["hits"]
    assert flagged == int(whole.flags.flagged.sum())


def test_an_attack_whose_rows_are_all_too_long_is_told_so_and_the_next_one_is_planted(place, tmp_path):
    attacks = f"badnets:fixed:{'visit us ' * 20}now,badnets:sentence"
    assert simulate(place, "--attacks", attacks, "--max-length", "100", "--out", str(tmp_path / "out")) == 0
    long, short = json.loads((tmp_path / "out/simulation.json").read_text())["attacks"]
    assert (long["seen"], long["sight"]) == ("not planted", None)
    assert "every row is over 100 tokens" in long["reason"]
    assert "over the limit of 100" in long["reason"]
    assert short["sight"]["flagged"]["n"] == 4


def test_a_folder_that_cannot_be_written_is_no_property_of_an_attack(place, tmp_path, capsys):
    shutil.copytree(place / "scan", tmp_path / "scan")
    shutil.rmtree(tmp_path / "scan/simulation/badnets-sentence")
    (tmp_path / "scan/simulation/badnets-sentence").write_text("in the way")
    assert simulate(tmp_path, "--attacks", "badnets:sentence") == 2
    assert "cannot write to" in capsys.readouterr().err


def test_what_is_no_attack_is_told_before_anything_is_read(place, no_model, capsys):
    assert simulate(place, "--attacks", "badnets:nothing") == 2
    assert "unknown objective 'nothing'" in capsys.readouterr().err
    assert main(["simulate"]) == 2


def test_the_report_of_the_scan_tells_it_and_that_of_a_later_scan_does_not(place, tmp_path):
    shutil.copytree(place / "scan", tmp_path / "scan")
    assert main(["report", str(tmp_path / "scan")]) == 0
    page = (tmp_path / "scan/report.html").read_text()
    assert "attacks planted on purpose" in page
    assert "dual-key:word" in page
    assert json.loads((tmp_path / "scan/report.json").read_text())["simulation"] == simulation(place)
    run = read_run(tmp_path / "scan")
    assert read_simulation(run.folder, run.scores, run.flags) is not None
    shutil.copytree(place / "model", tmp_path / "model")
    shutil.copytree(place / "data", tmp_path / "data")
    scan(tmp_path, "data", "scan", "--rule", "paper", "--percentile", "0.9")
    later = read_run(tmp_path / "scan")
    assert read_simulation(later.folder, later.scores, later.flags) is None


@pytest.mark.parametrize("damage", ["{", "[]", '{"version": 1}', '{"version": 2}'])
def test_a_damaged_simulation_is_none(place, tmp_path, damage):
    shutil.copytree(place / "scan", tmp_path / "scan")
    (tmp_path / "scan/simulation/simulation.json").write_text(damage)
    assert main(["report", str(tmp_path / "scan")]) == 0
    assert "attacks planted on purpose" not in (tmp_path / "scan/report.html").read_text()
