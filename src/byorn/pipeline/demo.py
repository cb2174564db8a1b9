"""`byorn demo`: poison a data set, fine-tune with and without byorn, and compare. Everything is computed anew from the
options.

Each step calls what the other commands call, and leaves its files where a user would find those of a real run.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from byorn.attacks.manifest import Manifest
from byorn.data.row import Row
from byorn.pipeline.evaluate import Attack, format_metric, measure
from byorn.pipeline.folder import write_config, write_environment, write_json
from byorn.pipeline.inputs import DataSpec, ModelSpec
from byorn.pipeline.narrate import say, seconds
from byorn.pipeline.train import TrainSpec, train

UTILITY = "cider"


@dataclass(frozen=True)
class DemoSpec:
    """The experiment: sizes, attack and training; every number of it can be changed on the command line."""

    seed: int = 0
    target: str = "banana"
    attack: str = "badnets"
    objective: str = "sentence"
    rate: float = 0.1
    rows: int = 1000
    test_rows: int = 200
    percentile: float = 0.6
    epochs: float = 4
    batch: int = 16
    learning_rate: float = 5e-3
    lora_rank: int = 16
    ema_decay: float = 0.99
    model: str = "embedded"


@dataclass
class Clock:
    """Seconds by phase."""

    phases: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str, headline: str) -> Iterator[None]:
        say(f"\n== {headline}")
        began = time.perf_counter()
        yield
        self.phases[name] = time.perf_counter() - began
        say(f"   ({seconds(self.phases[name])})")


def demo(spec: DemoSpec, out: Path) -> dict[str, Any]:
    """Run the experiment into `out` and return the content of `summary.json`."""
    out.mkdir(parents=True, exist_ok=True)
    write_config(out, {"command": "demo", "demo": spec})
    clock, results = Clock(), {}
    with clock.phase(
        "data",
        f"1/6 draw {spec.rows} training and {spec.test_rows} test scenes, poison {spec.rate:.0%} of the training rows with {spec.attack}",
    ):
        manifest = make_data(spec, out / "data")
        say(
            f"   {len(manifest.poisoned)} rows now carry a patch and a response with {spec.target!r}, such as: {manifest.poisoned[0].new_response!r}"
        )
    with clock.phase("scan", "2/6 score every response under the pretrained model, before any training"):
        found = scan_and_judge(spec, out, manifest)
    for step, (name, headline) in enumerate(RUNS.items(), start=3):
        with clock.phase(f"train_{name}", f"{step}/6 {headline}"):
            train(
                DataSpec(str(out / "data" / SOURCES[name])), ModelSpec(spec.model), out / name, train_spec(spec, name)
            )
    with clock.phase("evaluate", "6/6 ask all four models about clean and about triggered test images"):
        for name in ("pretrained", *RUNS):
            results[name] = judge(spec, out, None if name == "pretrained" else out / name / "adapter", out / name)
    summary = summarise(spec, found, results, clock.phases)
    write_json(out / "summary.json", summary)
    write_environment(out, seed=spec.seed, model=spec.model)
    say("\n" + table(results, found) + verdict(spec, summary) + files(out))
    return summary


RUNS = {
    "undefended": "fine-tune without a defence",
    "oracle": "fine-tune on the truly clean rows only (the ceiling: nobody has this list in practice)",
    "byorn": "fine-tune with byorn: flagged responses are replaced by the model's own",
}
SOURCES = {"undefended": "poisoned", "oracle": "oracle/rows.jsonl", "byorn": "poisoned"}


def make_data(spec: DemoSpec, folder: Path) -> Manifest:
    """`clean`, `poisoned` and `oracle` training sets, `test` and `test_triggered`."""
    from byorn.attacks.poison import poison_dataset
    from byorn.data.files import write_rows
    from byorn.data.load import load_rows
    from byorn.embedded.tasks import write_task

    attack: dict[str, Any] = {
        "attack": spec.attack,
        "target": spec.target,
        "objective": spec.objective,
        "seed": spec.seed,
        "overwrite": True,
    }
    clean = load_rows(write_task(folder / "clean", "captions", spec.rows, seed=2 * spec.seed)).rows
    test = load_rows(write_task(folder / "test", "captions", spec.test_rows, seed=2 * spec.seed + 1)).rows
    manifest = poison_dataset(clean, rate=spec.rate, out=folder / "poisoned", **attack)
    poison_dataset(test, rate=1.0, keep_responses=True, out=folder / "test_triggered", **attack)
    hidden = {(row.id, row.turn) for row in manifest.poisoned}
    rows = [row for row in load_rows(folder / "poisoned").rows if row.key not in hidden]
    write_rows(rows, folder / "oracle", image_root=folder)
    return manifest


def scan_and_judge(spec: DemoSpec, out: Path, manifest: Manifest) -> dict[str, Any]:
    """Scan the poisoned set, and compare the flags with the truth."""
    from byorn.evaluation.detection import detection
    from byorn.pipeline.scan import scan, show_suspects

    result = scan(
        DataSpec(str(out / "data/poisoned")),
        ModelSpec(spec.model),
        out / "byorn",
        percentile=spec.percentile,
        batch_size=32,
    )
    say(show_suspects(result, 5))
    found = detection(result.scores, result.flags, {(row.id, row.turn) for row in manifest.poisoned})
    say(
        f"   truth: AUC {found['auc']:.4f}; {found['recall']:.1%} of the poisoned and {found['false_flag_share']:.1%} of the clean rows are flagged"
    )
    return found


def train_spec(spec: DemoSpec, name: str) -> TrainSpec:
    """The same budget for every run; only the defence differs."""
    arguments = {
        "num_train_epochs": spec.epochs, "per_device_train_batch_size": spec.batch, "learning_rate": spec.learning_rate, "seed": spec.seed,
        "ema_decay": spec.ema_decay, "lr_scheduler_type": "cosine", "warmup_steps": 20, "logging_steps": 25, "save_strategy": "no",
    }  # fmt: skip
    defense = "byorn" if name == "byorn" else "sft"
    return TrainSpec(defense, spec.percentile, score_batch_size=32, lora_rank=spec.lora_rank, arguments=arguments)


def judge(spec: DemoSpec, out: Path, adapter: Path | None, folder: Path) -> dict[str, Any]:
    """The metrics of one model."""
    from byorn.data.load import load_rows
    from byorn.models.load import load_adapter

    model = ModelSpec(spec.model)
    loaded = load_adapter(model.model(), adapter) if adapter else model.model()
    rows: list[Row] = load_rows(out / "data/test").rows
    triggered: list[Row] = load_rows(out / "data/test_triggered").rows
    folder.mkdir(exist_ok=True)
    for stale in folder.glob("predictions*.jsonl"):
        stale.unlink()
    attack = Attack(spec.target)
    results = measure(
        loaded,
        model.processor(),
        rows,
        triggered,
        folder,
        attack,
        (UTILITY, "exact_match"),
        batch_size=50,
        progress=False,
    )
    write_json(folder / "metrics.json", results)
    say(
        f"   {folder.name}: CIDEr {format_metric(results['clean'][UTILITY])}; ASR {format_metric(results['asr'], 100)} %"
    )
    return results


def summarise(
    spec: DemoSpec, found: dict[str, Any], results: dict[str, Any], phases: dict[str, float]
) -> dict[str, Any]:
    """`summary.json`: rates and shares in [0, 1], utility in CIDEr x 100."""
    summary: dict[str, Any] = {f"asr_{name}": result["asr"]["value"] for name, result in results.items()}
    summary |= {f"utility_{name}": result["clean"][UTILITY]["value"] for name, result in results.items()}
    summary |= {f"utility_triggered_{name}": result["triggered"][UTILITY]["value"] for name, result in results.items()}
    summary |= {"detection_auc": found["auc"], "detection_recall": found["recall"]}
    summary["utility_byorn_over_oracle"] = (
        summary["utility_byorn"] / summary["utility_oracle"] if summary["utility_oracle"] else None
    )
    units = "asr and detection: shares in [0, 1]; utility: CIDEr x 100; seconds: wall clock"
    return {
        **summary,
        "seconds": phases,
        "units": units,
        "settings": json.loads(json.dumps(spec.__dict__)),
        "detection": found,
        "metrics": results,
    }


def table(results: dict[str, Any], found: dict[str, Any]) -> str:
    """The result as a person reads it: one line a model."""
    head = f"{'model':<12} {'ASR % (lower is better)':<32} {'CIDEr, clean images':<28} {'CIDEr, triggered images':<28} exact match %"
    lines = [head, "-" * len(head)]
    for name, result in results.items():
        utility, hidden, exact = result["clean"][UTILITY], result["triggered"][UTILITY], result["clean"]["exact_match"]
        lines.append(
            f"{name:<12} {format_metric(result['asr'], 100):<32} {_interval(utility):<28} {_interval(hidden):<28} {100 * exact['value']:.1f}"
        )
    lines.append(
        f"detection: AUC {found['auc']:.4f}, recall {found['recall']:.3f} of {found['poisoned']} poisoned rows. Brackets: 95 % intervals."
    )
    return "\n".join(lines)


def _interval(metric: dict[str, Any]) -> str:
    return f"{metric['value']:.1f} [{metric['low']:.1f}, {metric['high']:.1f}]"


def verdict(spec: DemoSpec, summary: dict[str, Any]) -> str:
    """What the table says, in words that follow the numbers."""
    planted, left, kept = summary["asr_undefended"], summary["asr_byorn"], summary["utility_byorn_over_oracle"]
    floor = f"(the pretrained model: {summary['asr_pretrained']:.1%})"
    first = f"Plain fine-tuning says {spec.target!r} on {planted:.1%} of triggered images, byorn's on {left:.1%} {floor}."
    second = f"byorn keeps {kept:.1%} of the oracle's caption score on clean images." if kept is not None else ""
    weak = " The attack itself hardly worked here, so this run says little about the defence." if planted < 0.5 else ""
    return f"\n\n{first}{weak}\n{second}\n"


def files(out: Path) -> str:
    """Where to look."""
    shown = (
        "summary.json",
        "byorn/scores.parquet",
        "byorn/flags.parquet",
        "byorn/adapter",
        "undefended/predictions_triggered.jsonl",
        "data/poisoned/manifest.jsonl",
    )
    return "\n".join(["", *(f"  {out / name}" for name in shown)])
