"""What a person decided about a scan is never lost: it reaches the training, wherever that runs."""

import json
import shutil
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from byorn.cli.main import main
from byorn.data.files import write_rows
from byorn.pipeline.reuse import adopt_scan
from byorn.review.decisions import Decisions, Verdict
from byorn.scoring.table import from_records, write_scores
from byorn.testing import save_tiny, tiny_rows

QUICK = ["--max-steps", "2", "--batch-size", "4", "--lr", "1e-2", "--set", "max_response_tokens=3", "--device", "cpu"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place")
    save_tiny(folder / "model")
    write_rows(tiny_rows(12), folder / "data")
    write_rows(tiny_rows(8), folder / "other")
    return folder


def command(place, name, out, data="data"):
    return [name, "--model", str(place / "model"), "--data", str(place / data), "--out", str(place / out)]


def decide(path, words):
    """Write decisions into `review`, as a person would."""
    table = pq.read_table(path)
    review = [*words, *["auto"] * (table.num_rows - len(words))]
    position = table.column_names.index("review")
    pq.write_table(table.set_column(position, "review", pa.array(review)), path)


@pytest.fixture(scope="module")
def reviewed(place):
    assert main(command(place, "scan", "scans/first")) == 0
    decide(place / "scans/first/flags.parquet", ["drop", "keep", "keep", "replace"])
    return place / "scans/first"


def test_no_report_stays_beside_decisions_that_are_taken_over(tmp_path, monkeypatch):
    scan, run = tmp_path / "scan", tmp_path / "run"
    for folder in (scan, run):
        folder.mkdir()
    (scan / "flags.parquet").write_text("of the scan")
    write_scores(scan / "scores.parquet", from_records([], {}))
    (run / "report.json").write_text("of flags whose scores were deleted since")
    monkeypatch.setattr("byorn.pipeline.reuse.find_scan", lambda *given: scan)
    unused: Any = None
    adopt_scan(unused, run, str(scan))
    assert sorted(path.name for path in run.iterdir()) == ["flags.parquet", "scores.parquet"]


def test_a_review_reaches_a_training_in_another_folder(place, reviewed, capsys):
    assert main([*command(place, "train", "runs/safe"), *QUICK, "--scan", str(reviewed)]) == 0
    said = capsys.readouterr().err
    assert "4 decision(s) made there" in said
    assert "1 dropped by review, 2 kept by review, 1 replaced by review" in said
    report = json.loads((place / "runs/safe/training.json").read_text())
    assert report["reviews"] == {"keep": 2, "replace": 1, "drop": 1}
    card = (place / "runs/safe/adapter/README.md").read_text()
    assert "People looked at 4 of the rows" in card
    assert "2 kept, 1 replaced,\n1 dropped" in card
    assert report["learned"] == 11
    assert report["threshold"] == pq.read_table(place / "runs/safe/flags.parquet")["threshold"][0].as_py()
    assert pq.read_table(place / "runs/safe/flags.parquet")["review"].to_pylist()[:4] == [
        "drop",
        "keep",
        "keep",
        "replace",
    ]


def test_a_scan_beside_is_used_and_said_unless_it_is_not_wanted(place, reviewed, capsys):
    assert main([*command(place, "train", "scans/beside"), *QUICK]) == 0
    said = capsys.readouterr().err
    assert "using the scores of" in said
    assert "--scan none scores anew" in said
    assert json.loads((place / "scans/beside/training.json").read_text())["reviews"]["drop"] == 1
    assert main([*command(place, "train", "scans/anew"), *QUICK, "--scan", "none"]) == 0
    assert "scored 12 rows" in capsys.readouterr().err
    assert json.loads((place / "scans/anew/training.json").read_text())["reviews"]["drop"] == 0


def test_a_review_holds_for_what_is_left_when_rows_are_held_out(place, reviewed, capsys):
    held = ["--val-size", "4", "--scan", str(reviewed)]
    assert main([*command(place, "train", "runs/part"), *QUICK, *held]) == 0
    assert "4 decision(s) made there" in capsys.readouterr().err
    report = json.loads((place / "runs/part/training.json").read_text())
    kept = report["reviews"]
    assert report["rows"] == 8
    assert 0 < sum(kept.values()) <= 4
    assert report["learned"] == 8 - kept["drop"]


def test_a_dry_run_says_whose_scores_would_be_used_and_takes_nothing(place, reviewed, capsys):
    assert main([*command(place, "train", "runs/dry"), *QUICK, "--scan", str(reviewed), "--dry-run"]) == 0
    said = capsys.readouterr().err
    assert "4 decision(s) made there" in said
    assert "for the scan" not in said
    assert not list((place / "runs/dry").iterdir())


def test_another_rule_takes_the_scores_and_keeps_the_decisions(place, reviewed):
    rule = ["--rule", "paper", "--percentile", "0.9", "--statistic", "nll_max"]
    assert main([*command(place, "train", "runs/rule"), *QUICK, *rule, "--scan", str(reviewed)]) == 0
    flags = pq.read_table(place / "runs/rule/flags.parquet").to_pydict()
    assert flags["rule"][0] == "percentile(p=0.9, statistic=nll_max)"
    assert flags["review"][:4] == ["drop", "keep", "keep", "replace"]


def test_a_scan_of_other_data_is_refused_and_one_that_is_none_too(place, reviewed, capsys):
    assert main([*command(place, "train", "runs/other", "other"), *QUICK, "--scan", str(reviewed)]) == 2
    assert "the data set changed" in capsys.readouterr().err
    assert main([*command(place, "train", "runs/none"), *QUICK, "--scan", str(place / "data")]) == 2
    assert "holds no scores.parquet; give the folder of a byorn scan" in capsys.readouterr().err


@pytest.mark.parametrize("further", [[], ["--dry-run"]])
def test_a_defense_without_scores_says_that_it_takes_no_scan(further, place, reviewed, capsys):
    options = ["--defense", "sft", "--scan", str(reviewed)]
    assert main([*command(place, "train", "runs/undefended"), *QUICK, *options, *further]) == 0
    said = capsys.readouterr().err
    assert "using the scores of" not in said
    assert ("--scan is ignored: sft looks at no scores" in said) != bool(further)


def test_who_decided_travels_with_the_decisions(place, reviewed):
    from byorn.review.log import read_log

    Decisions(reviewed, "anna").decide({5: Verdict("keep", "checked by hand")})
    assert main([*command(place, "train", "runs/logged"), *QUICK, "--scan", str(reviewed)]) == 0
    assert [(one.who, one.why) for one in read_log(place / "runs/logged/reviews.jsonl")] == [
        ("anna", "checked by hand")
    ]
    assert Decisions(place / "runs/logged").words == Decisions(reviewed).words


def test_decisions_that_come_after_the_training_are_not_passed_over(place, reviewed, capsys):
    """The adapter has learned what was dropped since."""
    run = [*command(place, "train", "runs/late"), *QUICK, "--scan", str(reviewed)]
    assert main(run) == 0
    assert main(run) == 0
    decide(place / "runs/late/flags.parquet", ["drop", "keep", "keep", "replace", "drop"])
    capsys.readouterr()
    assert main(run) == 2
    assert "decisions about rows have changed since" in capsys.readouterr().err


def test_as_many_decisions_about_other_rows_are_other_decisions(place, reviewed, capsys):
    shutil.copytree(reviewed, place / "beside/scan")  # is found there
    run = [*command(place, "train", "beside/late"), *QUICK]
    assert main(run) == 0
    assert main(run) == 0
    decide(place / "beside/late/flags.parquet", ["keep", "drop", "keep", "replace"])
    capsys.readouterr()
    assert main(run) == 2
    assert "decisions about rows have changed since" in capsys.readouterr().err


def test_decisions_that_are_made_in_the_scan_after_the_training_are_not_passed_over_either(place, reviewed, capsys):
    """Where people decide: the scan; the training has a copy of what they had said by then."""
    scan = place / "scans/later"
    shutil.copytree(reviewed, scan)
    run = [*command(place, "train", "runs/before"), *QUICK, "--scan", str(scan)]
    assert main(run) == 0
    decide(scan / "flags.parquet", ["drop", "keep", "keep", "replace", "drop"])
    capsys.readouterr()
    assert main(run) == 2
    assert "decisions about rows have changed since; use another --out" in capsys.readouterr().err
    (place / "runs/before/training.json").unlink()  # as if it had been killed at the end
    assert main(run) == 0
    said = capsys.readouterr().err
    assert f"1 decision(s) of {scan} were made since, and do not count here" in said


def test_nor_where_the_scan_was_found_beside_the_training(place, reviewed, capsys):
    shutil.copytree(reviewed, place / "found/scan")
    run = [*command(place, "train", "found/run"), *QUICK]
    assert main(run) == 0
    assert main(run) == 0
    assert main(command(place, "train", "found/sibling") + QUICK) == 0
    decide(place / "found/sibling/flags.parquet", ["keep"] * 4)  # those of another training are its own
    assert main(run) == 0
    decide(place / "found/scan/flags.parquet", ["drop", "keep", "keep", "replace", "drop"])
    capsys.readouterr()
    assert main(run) == 2
    assert "decisions about rows have changed since" in capsys.readouterr().err


def test_nor_where_the_training_has_added_what_its_rule_looks_at_to_the_scores(place, capsys):
    """Found there by a training of its own, and copied from that by a second one."""
    scan = place / "added/scan"
    assert main([*command(place, "scan", "added/scan"), "--rule", "paper"]) == 0
    runs = [[*command(place, "train", f"added/{name}"), *QUICK] for name in ("run", "second")]
    assert [main(run) for run in (*runs, *runs)] == [0] * 4
    decide(scan / "flags.parquet", ["drop"])
    capsys.readouterr()
    for run in runs:
        assert main(run) == 2
        assert "decisions about rows have changed since" in capsys.readouterr().err
    (place / "added/run/training.json").unlink()  # as if it had been killed at the end
    assert main(runs[0]) == 0
    assert f"1 decision(s) of {scan} were made since, and do not count here" in capsys.readouterr().err


def test_a_second_training_takes_the_decisions_of_the_scan_not_those_that_the_first_one_has_copied(place, reviewed):
    scan = place / "twice/scan"
    shutil.copytree(reviewed, scan)
    assert main([*command(place, "train", "twice/first"), *QUICK]) == 0
    decide(scan / "flags.parquet", ["drop", "drop", "drop"])
    assert main([*command(place, "train", "twice/second"), *QUICK]) == 0
    report = json.loads((place / "twice/second/training.json").read_text())
    assert report["reviews"] == {"keep": 0, "replace": 0, "drop": 3}


def test_a_scan_of_other_data_in_the_place_of_the_one_that_was_taken_over_is_none_of_the_training(
    place, reviewed, capsys
):
    scan = place / "moved/scan"
    shutil.copytree(reviewed, scan)
    run = [*command(place, "train", "moved/run"), *QUICK]
    assert main(run) == 0
    shutil.rmtree(scan)
    assert main(command(place, "scan", "moved/scan", data="other")) == 0
    decide(scan / "flags.parquet", ["replace"] * 4)
    assert main(run) == 0


def test_a_decision_that_is_taken_back_in_the_scan_after_the_training_is_not_passed_over(place, reviewed, capsys):
    scan = place / "scans/back"
    shutil.copytree(reviewed, scan)
    run = [*command(place, "train", "runs/back"), *QUICK, "--scan", str(scan)]
    assert main(run) == 0
    assert main(run) == 0
    Decisions(scan, "anna").decide({1: Verdict("auto", "no true caption after all")})
    capsys.readouterr()
    assert main(run) == 2
    assert "decisions about rows have changed since" in capsys.readouterr().err


def test_a_training_that_has_taken_its_scan_over_does_without_it(place, reviewed, capsys):
    scan = place / "scans/gone"
    shutil.copytree(reviewed, scan)
    run = [*command(place, "train", "runs/after"), *QUICK, "--scan", str(scan)]
    assert main(run) == 0
    shutil.rmtree(scan)
    capsys.readouterr()
    assert main(run) == 0
    assert "finished before" in capsys.readouterr().err


@pytest.mark.parametrize("further", [["--dry-run"], ["--defense", "bye"]])
def test_rows_held_out_are_no_trouble_to_what_trains_without_them(further, place, capsys):
    out = f"runs/held-{further[-1].strip('-')}"
    assert main([*command(place, "train", out), *QUICK, "--val-size", "4", "--rule", "paper", *further]) == 0
