"""`byorn scan` by its default rule: passes and an adaptation, killed anywhere, on several processes, on bad rows."""

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from byorn.cli.main import main
from byorn.data.files import write_rows
from byorn.data.row import Row, user_message
from byorn.pipeline import scores as passes
from byorn.runs.journal import Journal
from byorn.scoring.adaptation import CrossFitted
from byorn.scoring.evidence import with_evidence
from byorn.scoring.table import read_scores
from byorn.testing import save_tiny, tiny_rows
from launching import SHORT, torchrun

ROWS = 20
SCAN = "scan --model model --data data --device cpu --score-batch-size 2 --show 0 --no-report"
FILES = ("scores.parquet", "adapted.parquet", "adapted_swapped.parquet", "flags.parquet")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    save_tiny(folder / "model")
    write_rows(tiny_rows(ROWS), folder / "data")
    return folder


@pytest.fixture(scope="module")
def straight(place: Path) -> Path:
    assert scan(place, "straight") == 0
    return place / "straight"


def scan(place: Path, out: str, *more: str) -> int:
    folders = ("--model", str(place / "model"), "--data", str(place / "data"), "--out", str(place / out))
    return main([*SCAN.replace("--model model --data data", "").split(), *folders, *more])


def values(folder: Path, name: str = "scores.parquet") -> dict[str, list[Any]]:
    table: dict[str, list[Any]] = pq.read_table(folder / name).to_pydict()
    return table


class PowerCut(Exception):
    """The process is gone."""


def test_a_scan_leaves_what_it_computed_and_says_how(straight: Path, place: Path, capsys: Any) -> None:
    assert all((straight / name).is_file() for name in FILES)
    found = values(straight)
    assert {"nll", "adapted", "adapted_contrast", "evidence"} <= found.keys()
    assert np.isfinite(found["evidence"]).all()
    np.testing.assert_allclose(found["adapted"], values(straight, "adapted.parquet")["nll"])
    assert np.median(found["adapted"]) < np.median(found["nll"])  # it has learned what rows have in common
    assert values(straight, "flags.parquet")["rule"][0] == "evidence"
    assert not list(straight.glob("*.partial*"))


def test_batches_of_an_adapted_pass_go_through_the_model_as_a_whole(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch with rows of either half would go through it twice; at most one of each pass has such rows."""
    parts = []
    use = CrossFitted.use

    def counted(self: CrossFitted, fold: int) -> None:
        parts.append(fold)
        use(self, fold)

    monkeypatch.setattr(CrossFitted, "use", counted)
    assert scan(place, "counted") == 0
    assert ROWS <= len(parts) <= ROWS + 2  # two passes in batches of two


def test_the_seconds_of_a_scan_are_those_of_its_adaptation_too(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is most of a small scan; a killed one, whose passes are finished, still knows what it took."""
    adapt = CrossFitted.adapt

    def slow(self: CrossFitted) -> None:
        if not self._adapted:
            time.sleep(0.5)
        adapt(self)

    monkeypatch.setattr(CrossFitted, "adapt", slow)
    monkeypatch.setattr(passes, "with_evidence", lambda *_: (_ for _ in ()).throw(PowerCut))
    with pytest.raises(PowerCut):
        scan(place, "timed")
    monkeypatch.setattr(passes, "with_evidence", with_evidence)
    parts = [float(read_scores(place / "timed" / name).metadata["seconds"]) for name in FILES[:3]]
    assert scan(place, "timed") == 0
    told = json.loads((place / "timed/environment.json").read_text())["seconds"]
    assert told > sum(parts) + 0.5


def test_a_second_scan_computes_nothing(straight: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "fitted_to", lambda *_, **__: pytest.fail("it adapts again"))
    before = [(straight / name).read_bytes() for name in FILES[:3]]
    assert scan(place, "straight") == 0
    assert [(straight / name).read_bytes() for name in FILES[:3]] == before


@pytest.mark.slow
@pytest.mark.parametrize("records", [ROWS - 3, 2 * ROWS + 5])
def test_killed_within_or_between_passes_it_comes_out_the_same(
    records: int, straight: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, left = f"killed-{records}", records
    add = Journal.add

    def dying(self: Journal, *arguments: Any) -> None:
        nonlocal left
        if left == 0:
            raise PowerCut
        left -= 1
        add(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "add", dying)
        with pytest.raises(PowerCut):
            scan(place, out)
    assert not (place / out / "flags.parquet").exists()
    assert scan(place, out) == 0
    for name in ("scores.parquet", "flags.parquet"):
        assert values(place / out, name) == values(straight, name)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 4])
def test_several_processes_find_what_one_finds(processes: int, straight: Path, place: Path) -> None:
    out = f"by-{processes}"
    (place / "short.py").write_text(f"{SHORT}\nfrom byorn.__main__ import run\nrun()")
    done = torchrun(processes, "short.py", *SCAN.split(), "--out", out, cwd=place)
    assert done.returncode == 0, done.stderr[-3000:]
    one, several = values(straight), values(place / out)
    for name in ("nll", "adapted", "adapted_contrast", "evidence"):
        np.testing.assert_allclose(several[name], one[name], atol=1e-4)
    assert values(place / out, "flags.parquet")["flagged"] == values(straight, "flags.parquet")["flagged"]
    assert done.stderr.count("adapted to either half") == 1
    assert not list((place / out).glob("*.partial*"))


@pytest.mark.parametrize("asked", [["hm?"], ["hm?", "what now?"]])
def test_a_row_without_images_has_evidence_too(asked: list[str], place: Path, tmp_path: Path) -> None:
    """Its contrast is that with the prompt of another one; where there is none it has none, which says nothing."""
    rows = tiny_rows(12)
    texts = [replace(rows[2], id=text, prompt=[user_message(text, 0)], images=[]) for text in asked]
    write(tmp_path / "rows", [*rows, *texts])
    shutil.copytree(place / "model", tmp_path / "model")
    command = ["scan", "--model", str(tmp_path / "model"), "--data", str(tmp_path / "rows"), "--device", "cpu"]
    assert main([*command, "--show", "0", "--no-report", "--out", str(tmp_path / "out")]) == 0
    found = values(tmp_path / "out")
    known = dict(zip(found["id"], zip(found["evidence"], found["adapted_contrast"], strict=True), strict=True))
    assert [bool(np.isfinite(known[text][1])) for text in asked] == [len(asked) > 1] * len(asked)
    assert np.isfinite([evidence for evidence, _ in known.values()]).all()


def write(folder: Path, rows: list[Row]) -> None:
    write_rows(rows, folder)


def test_the_other_rule_uses_the_same_scores_and_back(straight: Path, place: Path, capsys: Any) -> None:
    shutil.copytree(straight, place / "both")
    assert scan(place, "both", "--rule", "paper") == 0
    assert "using the scores" in capsys.readouterr().err
    assert values(place / "both", "flags.parquet")["rule"][0] == "percentile(p=0.6)"
    assert scan(place, "paper", "--rule", "paper") == 0
    both, alone = (reported(place / out) for out in ("both", "paper"))
    for part in ("tested", "counts", "distribution", "least_plausible"):
        assert both[part] == alone[part]  # the evidence that is left there says nothing
    known = [
        [(group["phrase"], group["statistic"], group["p_value"]) for group in one["clusters"]] for one in (both, alone)
    ]
    assert known[0] == known[1] != []
    assert scan(place, "both") == 0
    assert values(place / "both", "flags.parquet") == values(straight, "flags.parquet")


def reported(folder: Path) -> dict[str, Any]:
    assert main(["report", str(folder)]) == 0
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return report


def test_both_ends_are_shown_by_evidence_and_the_report_says_how_many_are_expected(straight: Path, place: Path) -> None:
    shutil.copytree(straight, place / "told")
    report = reported(place / "told")
    assert report["distribution"]["statistic"] == "evidence"
    assert report["counts"]["expected"] == pytest.approx(sum(values(straight, "flags.parquet")["weight"]))
    assert any("The rule (evidence) flags groups of rows" in sentence for sentence in report["verdict"]["grounds"])
    page = (place / "told/report.html").read_text()
    assert "poisoned rows expected" in page
    assert "orders of magnitude" in page
    assert "flags some rows of every data set" not in page
