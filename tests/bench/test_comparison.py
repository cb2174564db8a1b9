"""The demo and the programs that compare the same four models: on few rows, as a user starts them."""

import importlib.util
import json
from pathlib import Path

import pytest

from byorn.cli.main import main

ROOT = Path(__file__).parents[2]
MODELS = ("pretrained", "undefended", "oracle", "byorn")
FIGURES = {f"{figure}_{model}" for figure in ("asr", "utility", "utility_triggered") for model in MODELS}
PHASES = ("poison", "scan", "train_undefended", "train_oracle", "train_byorn", "evaluate")


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The folder of a small demo."""
    out = tmp_path_factory.mktemp("demo") / "run"
    assert main(["demo", "--rows=20", "--test-rows=4", "--epochs=1", "--percentile=0.5", f"--out={out}"]) == 0
    return out


def test_the_summary_of_the_demo_has_every_figure_and_what_decided_it(demo):
    summary = json.loads((demo / "summary.json").read_text())
    rest = {"utility_byorn_over_oracle", "detection_auc", "detection_recall", "utility_metric", "seconds", "settings"}
    assert set(summary) == FIGURES | rest | {"detection", "metrics"}
    assert tuple(summary["seconds"]) == PHASES
    assert summary["settings"]["attack_options"] == {"size": 0.25}
    assert summary["settings"]["arguments"]["ema_decay"] is None
    assert summary["metrics"]["byorn"]["clean"]["cider"]["value"] == summary["utility_byorn"]


def test_the_demo_leaves_its_files_where_those_of_a_run_are(demo):
    assert {path.name for path in (demo / "data").iterdir()} >= {"clean", "poisoned", "test", "test_triggered"}
    for name in ("undefended", "oracle", "byorn"):
        assert (demo / name / "adapter").is_dir()
        assert (demo / name / "predictions_triggered.jsonl").exists()
    assert (demo / "byorn" / "flags.parquet").exists()
    assert json.loads((demo / "oracle" / "training.json").read_text())["learned"] == 18


def test_a_second_demo_replaces_the_first_and_tells_its_six_steps(demo, capsys):
    figures = json.loads((demo / "summary.json").read_text())["metrics"]
    assert main(["demo", "--rows=20", "--test-rows=4", "--epochs=1", "--percentile=0.5", f"--out={demo}"]) == 0
    said = capsys.readouterr().err
    assert [line[:6] for line in said.splitlines() if line.startswith("== ")] == [f"== {n}/6" for n in range(1, 7)]
    assert "byorn keeps" in said or "Every test input shows" in said
    assert json.loads((demo / "summary.json").read_text())["metrics"] == figures


def test_the_seeds_program_tables_finished_demos_without_running_them(demo, tmp_path, monkeypatch, capsys):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "demo-seed-0").symlink_to(demo)
    monkeypatch.chdir(tmp_path)
    load(Path("benchmarks/demo_seeds.py")).main(["--seeds", "0"], tmp_path / "demo.json")
    assert [line.split(" | ")[0] for line in capsys.readouterr().out.splitlines()[2:6]] == [f"| {m}" for m in MODELS]
    assert json.loads((tmp_path / "demo.json").read_text())["seeds"] == [0]


def test_the_example_compares_on_the_files_of_easy_vqa(tmp_path):
    program = load(Path("examples/easy_vqa/run.py"))
    sizes = ["--rows=40", "--test-rows=6", "--epochs=1", f"--out={tmp_path / 'run'}"]
    program.main(sizes, tmp_path / "easy_vqa.json")
    summary = json.loads((tmp_path / "easy_vqa.json").read_text())
    assert set(summary) > FIGURES
    assert (summary["utility_metric"], summary["settings"]["objective"]) == ("vqa_accuracy", "word")
    assert summary["settings"]["max_new_tokens"] == 8
