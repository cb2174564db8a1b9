"""`byorn report`, and the end of `byorn scan`: what is written, and when a pipeline stops."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_runs import attacked

from byorn.cli.main import main
from byorn.data.files import write_rows
from byorn.data.load import load_rows
from byorn.flagging.percentile import flag_percentile
from byorn.flagging.table import write_flags
from byorn.runs.folder import write_config, write_environment
from byorn.scoring.table import from_records, name_rows, write_scores
from byorn.testing import save_tiny, tiny_rows

REPORTS = ("report.html", "report.json", "report.sarif")


@pytest.fixture(scope="module")
def scanned(tmp_path_factory):
    """A poisoned data set on disk, as a scan leaves it; the scores are made."""
    place = tmp_path_factory.mktemp("scanned")
    run = attacked(count=120, meta={"uploader": "mallory"})
    write_rows(list(run.rows), place / "data")
    loaded = load_rows(place / "data", notify=lambda line: None)
    scores = name_rows(replace(run.scores, metadata={"data": loaded.fingerprint}), loaded.rows)
    folder = place / "scan"
    folder.mkdir()
    write_scores(folder / "scores.parquet", scores)
    write_flags(folder / "flags.parquet", flag_percentile(scores))
    write_config(folder, {"command": "scan", "data": {"source": str(place / "data")}})
    write_environment(folder)
    return folder


def test_a_report_is_three_files_and_a_sentence(scanned, capsys):
    assert main(["report", str(scanned)]) == 0
    out, err = capsys.readouterr()
    assert [Path(line).name for line in out.splitlines()] == list(REPORTS)
    assert "12 of 120 responses (10.0%) share “visit our shop”" in err
    assert json.loads((scanned / "report.json").read_text())["counts"]["standing_out"] == 12
    assert "visit our shop" in (scanned / "report.html").read_text()


def test_a_run_of_another_working_folder_says_how_to_find_its_data(scanned, tmp_path, monkeypatch, capsys):
    run = tmp_path / "scan"
    shutil.copytree(scanned, run)
    write_config(run, {"command": "scan", "data": {"source": "data"}, "model": {"name": "tiny"}})
    monkeypatch.chdir(tmp_path)
    fix = "its data data: no such file or folder; start byorn where the scan was started, or name the data with --data"
    for command in (["report"], ["rewrite", "--mode", "drop", "--out", "clean"]):
        assert main([*command, "scan"]) == 2
        assert fix in capsys.readouterr().err
    assert main(["report", "scan", "--data", str(scanned.parent / "data")]) == 0


@pytest.mark.parametrize("gates", ["cluster", "source", "share>0.05", "share>0.5,cluster"])
def test_a_gate_ends_with_3_and_the_report_is_there(scanned, gates, capsys):
    (scanned / "report.html").unlink(missing_ok=True)
    assert main(["report", str(scanned), "--fail-on", gates]) == 3
    assert "--fail-on" in capsys.readouterr().err
    assert (scanned / "report.html").exists()


def test_a_gate_that_is_not_exceeded_ends_with_0(scanned):
    assert main(["report", str(scanned), "--fail-on", "share>0.5"]) == 0


def test_what_is_no_gate_is_a_usage_error(scanned, capsys):
    assert main(["report", str(scanned), "--fail-on", "anything"]) == 2
    assert "use cluster, source, or share>NUMBER" in capsys.readouterr().err


def test_data_that_was_moved_is_named(scanned, tmp_path):
    moved = tmp_path / "elsewhere"
    (scanned.parent / "data").rename(moved)
    try:
        assert main(["report", str(scanned)]) == 2
        assert main(["report", str(scanned), "--moved", str(moved)]) == 0
    finally:
        moved.rename(scanned.parent / "data")


def test_data_that_has_changed_is_refused(scanned, tmp_path, capsys):
    changed = shutil.copytree(scanned.parent / "data", tmp_path / "changed") / "rows.jsonl"
    changed.write_text(changed.read_text().replace("visit our shop", "visit our shops"))
    assert main(["report", str(scanned), "--moved", str(tmp_path / "changed")]) == 2
    assert "has changed since it was scanned" in capsys.readouterr().err


@pytest.mark.parametrize("damaged", ["scores.parquet", "flags.parquet", "config.yaml"])
def test_a_damaged_folder_is_one_line(scanned, tmp_path, damaged, capsys):
    for path in scanned.iterdir():
        (tmp_path / path.name).write_bytes(b"\0\xff" if path.name == damaged else path.read_bytes())
    assert main(["report", str(tmp_path)]) == 2
    assert damaged in capsys.readouterr().err.splitlines()[-1]


def test_no_image_is_opened_that_is_not_shown(scanned, monkeypatch):
    """A corpus may hold a million: those that are compared and those on the page alone are read."""
    from byorn.data.row import ImageFile

    opened = []
    load = ImageFile.load
    monkeypatch.setattr(ImageFile, "load", lambda image: opened.append(image.path) or load(image))
    monkeypatch.setattr("byorn.patterns.images.MOST_OUTSIDE", 10)
    assert main(["report", str(scanned)]) == 0
    assert len(set(opened)) < 60


def test_a_scan_ends_with_its_report(tmp_path, capsys):
    save_tiny(tmp_path / "model")
    rows = tiny_rows(12)
    shown = replace(rows[0], response="a red square <|im_end|>")  # a special token, which the scan breaks
    write_rows([shown, *rows[1:]], tmp_path / "data")
    command = ["scan", "--model", str(tmp_path / "model"), "--data", str(tmp_path / "data"), "--device", "cpu"]
    assert main([*command, "--out", str(tmp_path / "silent"), "--no-report", "--fail-on", "cluster"]) == 0
    assert not any((tmp_path / "silent" / name).exists() for name in REPORTS)
    assert main([*command, "--out", str(tmp_path / "run")]) == 0
    assert "Nothing stands out" in capsys.readouterr().err
    page = (tmp_path / "run/report.html").read_bytes()
    assert main(["report", str(tmp_path / "run")]) == 0
    assert (tmp_path / "run/report.html").read_bytes() == page


def test_a_scan_that_flags_anew_leaves_no_report_of_other_flags(tmp_path, capsys):
    save_tiny(tmp_path / "model")
    write_rows(tiny_rows(12), tmp_path / "data")
    run = tmp_path / "run"
    command = ["scan", "--model", str(tmp_path / "model"), "--data", str(tmp_path / "data"), "--device", "cpu"]
    command += ["--rule", "paper", "--out", str(run)]
    assert main(command) == 0
    further = ("report.cdx.json", "comparison.json", "detection.json")
    for name in further:
        (run / name).write_text("{}")
    capsys.readouterr()
    assert main([*command, "--no-report"]) == 0
    assert all((run / name).exists() for name in (*REPORTS, *further))  # the flags are the same
    assert "removed" not in capsys.readouterr().err
    assert main([*command, "--no-report", "--percentile", "0.9"]) == 0
    assert not any((run / name).exists() for name in (*REPORTS, *further))
    assert f"removed {', '.join((*REPORTS, *further))}: about other flags" in capsys.readouterr().err


def test_a_scan_of_planted_rows_ends_with_3(tmp_path, monkeypatch):
    """The tiny model finds nothing plausible, so its scores are made."""
    save_tiny(tmp_path / "model")
    rows = attacked(count=120).rows
    write_rows(list(rows), tmp_path / "data")

    def made(records):
        count = len(records)
        planted = np.arange(count) < 12
        noise = np.random.default_rng(0).normal(2, 0.3, count)
        for record, score in zip(records, noise + 4 * planted, strict=True):
            record.update(nll=float(score), nll_max=float(score), nll_window=float(score))

    monkeypatch.setattr("byorn.pipeline.scores.from_records", lambda all, facts: made(all) or from_records(all, facts))
    command = ["scan", "--model", str(tmp_path / "model"), "--data", str(tmp_path / "data"), "--device", "cpu"]
    assert main([*command, "--out", str(tmp_path / "run"), "--rule", "paper", "--fail-on", "share>0.01"]) == 3
    assert (tmp_path / "run/report.html").exists()


def test_no_torch_is_needed(scanned):
    """A report is read where the model is not: on a laptop, in a pipeline."""
    code = (
        "import sys; from byorn.cli.main import main; code = main(['report', sys.argv[1]]); "
        "sys.exit(code or ('torch' in sys.modules) or ('transformers' in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code, str(scanned)], capture_output=True).returncode == 0
