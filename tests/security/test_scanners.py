"""What scanners of models say to a run folder. `make scanners` installs them apart: beside our pins they do not fit."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from byorn.cli.main import main
from byorn.data.files import write_rows
from byorn.testing import save_tiny, tiny_rows

SCANNERS = os.environ.get("BYORN_SCANNERS", "")
QUIET = {"NO_ANALYTICS": "1", "PROMPTFOO_DISABLE_TELEMETRY": "1"}
PICKLES = {"optimizer.pt", "scheduler.pt", "rng_state.pth"}
"""What transformers keeps in a checkpoint to go on from: pickles, never exported or uploaded."""

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not SCANNERS, reason="`make scanners` runs these")]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place")
    save_tiny(folder / "model")
    write_rows(tiny_rows(8), folder / "data")
    out = folder / "run"
    given = ["--model", str(folder / "model"), "--data", str(folder / "data"), "--out", str(out), "--lr", "1e-3"]
    quick = ["--max-steps", "1", "--batch-size", "4", "--set", "save_steps=1", "--set", "max_response_tokens=3"]
    assert main(["train", *given, *quick]) == 0
    return out


def scan(name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [str(Path(SCANNERS) / name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **QUIET}, timeout=600)


@pytest.mark.parametrize("part", ["adapter", "."])
def test_modelscan_finds_nothing(run, part):
    done = scan("modelscan", "-p", str(run / part))
    assert "No issues found" in done.stdout
    assert done.returncode in (0, 3)  # 3: there is no file of a kind that can be dangerous


def audited(path: Path, report: Path) -> list[dict[str, str]]:
    """Findings above a mere notice."""
    scan("modelaudit", "scan", "--no-cache", "--format", "json", "-o", str(report), str(path))
    content = json.loads(report.read_text())
    assert content["files_scanned"] > 3
    return [issue for issue in content["issues"] if issue["severity"] != "info"]


def test_modelaudit_finds_nothing_in_what_is_exported(run, tmp_path):
    assert audited(run / "adapter", tmp_path / "report.json") == []


def test_modelaudit_warns_of_the_pickles_of_checkpoints_alone(run, tmp_path):
    found = audited(run, tmp_path / "report.json")
    places = {issue["location"].partition(":")[0] for issue in found}
    assert {Path(place.partition(" ")[0]).name for place in places} <= PICKLES
    assert all(run / "checkpoints" in Path(place).parents for place in places)
    assert {issue["severity"] for issue in found} <= {"warning"}
