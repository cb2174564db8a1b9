"""What is killed: a command, small enough for seconds, and what its folder must hold at the end, whatever happened."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pyarrow.parquet as pq

Outcome = dict[str, object]
"""Name of a figure or file -> its value or digest."""

TIMES = {"seconds", "peak_megabytes", "resumed", "versions"}
"""Keys of JSON files that differ from run to run."""
LOGGED = ("step", "loss", "grad_norm", "learning_rate", "flagged_share", "response_tokens")

MODEL = ["--model", "embedded", "--device", "cpu"]
STEPS = [
    *("--max-steps", "4", "--batch-size", "4", "--learning-rate", "5e-3", "--ema-decay", "0.5", "--scan", "none"),
    *("--set", "save_steps=1", "--set", "logging_steps=1", "--set", "max_response_tokens=8"),
    *("--set", "lr_scheduler_type=constant", "--rule", "paper", "--set", "response_block=2"),
]
EXPERIMENT = """
title: Cells that are killed
rows: 16
test_rows: 6
seeds: [0]
attacks: {badnets: {options: {size: 0.25}}}
rates: [0.25]
defenses: [sft, byorn]
ema_decays: [0.5]
arguments: {max_steps: 3, per_device_train_batch_size: 4, save_strategy: steps, save_steps: 1, learning_rate: 5.0e-3,
  max_response_tokens: 8}
"""


@dataclass(frozen=True)
class Subject:
    """A command that is killed.

    Attributes:
        command: (folder with the data, run folder) -> arguments of `byorn`.
        outcome: Run folder -> what must be equal to the last bit.
        ended: Whether the run has ended before it is given again, and killed then.
    """

    command: Callable[[Path, Path], list[str]]
    outcome: Callable[[Path], Outcome]
    ended: bool = False


def _scan(rule: str) -> Callable[[Path, Path], list[str]]:
    def command(place: Path, out: Path) -> list[str]:
        size = ["--score-batch-size", "2", "--look-closer", "2"]
        return ["scan", *MODEL, "--data", str(place / "data"), "--rule", rule, *size, "--out", str(out)]

    return command


def _train(place: Path, out: Path) -> list[str]:
    return ["train", *MODEL, "--data", str(place / "data"), *STEPS, "--out", str(out)]


def _evaluate(place: Path, out: Path) -> list[str]:
    triggered = ["--triggered", str(place / "triggered"), "--target", "banana"]
    limits = ["--batch-size", "2", "--max-new-tokens", "12"]
    return ["evaluate", *MODEL, "--data", str(place / "data"), *triggered, *limits, "--out", str(out)]


def _bench(place: Path, out: Path) -> list[str]:
    folders = ["--experiments", str(place), "--results", str(out / "results"), "--work", str(out / "work")]
    return ["bench", "run", "killed", *folders]


def _rewrite(place: Path, out: Path) -> list[str]:
    limits = ["--response-batch-size", "1", "--max-response-tokens", "12"]
    return ["rewrite", str(place / "scanned"), "--mode", "replace", *limits, "--out", str(out)]


def _rewritten(out: Path) -> Outcome:
    files = {str(path.relative_to(out)): _digest(path) for path in sorted((out / "data").rglob("*")) if path.is_file()}
    summary = json.loads((out / "rewrite.json").read_text())
    return {**files, "counts": summary["counts"], "files": summary["files"], "left": _left(out)}


def _scanned(out: Path) -> Outcome:
    table = pq.read_table(out / "scores.parquet").replace_schema_metadata({})
    scores = sha256(repr(table.to_pydict()).encode()).hexdigest()
    return {"scores": scores, "flags": _digest(out / "flags.parquet"), "left": _left(out)}


def _trained(out: Path) -> Outcome:
    report = json.loads((out / "training.json").read_text())
    log = [{key: entry[key] for key in LOGGED if key in entry} for entry in report.pop("log")]
    adapter = _digest(out / "adapter" / "adapter_model.safetensors")
    return {
        **_scanned(out),
        "adapter": adapter,
        "log": [entry for entry in log if "loss" in entry],
        **_timeless(report),
    }


def _evaluated(out: Path) -> Outcome:
    names = ("predictions.jsonl", "predictions_triggered.jsonl", "metrics.json")
    return {**{name: _digest(out / name) for name in names}, "left": _left(out)}


def _benched(out: Path) -> Outcome:
    found = sorted((out / "results").rglob("*.json"))
    return {path.stem: _timeless(json.loads(path.read_text())) for path in found}


def _digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def _left(out: Path) -> list[str]:
    """Journals and halves of files that nobody cleared away."""
    return sorted(path.name for pattern in ("*.partial.*", ".*.tmp") for path in out.glob(pattern))


def _timeless(content: dict[str, object]) -> Outcome:
    """A JSON object without what depends on the clock."""
    kept = {key: value for key, value in content.items() if key not in TIMES}
    return {key: _timeless(value) if isinstance(value, dict) else value for key, value in kept.items()}


SUBJECTS = {
    "scan": Subject(_scan("paper"), _scanned),
    "evidence": Subject(_scan("evidence"), _scanned),
    "train": Subject(_train, _trained),
    "evaluate": Subject(_evaluate, _evaluated),
    "rewrite": Subject(_rewrite, _rewritten),
    "bench": Subject(_bench, _benched),
    "finished": Subject(_train, _trained, ended=True),
}
