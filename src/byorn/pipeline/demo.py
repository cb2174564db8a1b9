"""`byorn demo`: the comparison on freshly drawn scenes with the embedded model. Everything is computed anew from the
options.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from byorn.data.load import load_rows
from byorn.embedded.tasks import write_task
from byorn.pipeline.compare import PARTS, Comparison, compare
from byorn.runs.folder import start_anew, write_config
from byorn.runs.narrate import say

FILES = (
    "summary.json", "byorn/scores.parquet", "byorn/flags.parquet", "byorn/adapter", "undefended/predictions_triggered.jsonl",
    "byorn/predictions_triggered.jsonl", "data/poisoned/manifest.jsonl",
)  # fmt: skip


@dataclass(frozen=True)
class DemoSpec:
    """Sizes, attack and training of the demo; every number can be changed on the command line."""

    seed: int = 0
    target: str = "banana"
    rate: float = 0.1
    trigger_size: float = 0.25  # a whole patch of the vision tower: a model this small learns no smaller trigger
    rows: int = 1000
    test_rows: int = 200
    percentile: float = 0.8  # at the paper's 0.6 this model loses 2 to 7 % of its captions; see benchmarks/LOG.md
    epochs: float = 6  # at 4 the undefended model does not reliably learn the trigger; see benchmarks/LOG.md
    learning_rate: float = 5e-3
    ema_decay: float = 0.99


def demo(spec: DemoSpec, out: Path) -> dict[str, Any]:
    """Run the demo into `out`; returns the content of `summary.json`."""
    start_anew(out, "demo", PARTS)
    write_config(out, {"command": "demo", "demo": spec})
    say(f"drawing {spec.rows} training and {spec.test_rows} test scenes into {out / 'data'}")
    rows = load_rows(write_task(out / "data" / "clean", "captions", spec.rows, seed=2 * spec.seed)).rows
    test = load_rows(write_task(out / "data" / "clean_test", "captions", spec.test_rows, seed=2 * spec.seed + 1)).rows
    summary = compare(comparison(spec), rows, test, out)
    say("\n" + "\n".join(f"  {out / name}" for name in FILES))
    return summary


def comparison(spec: DemoSpec) -> Comparison:
    """The demo's settings as a comparison; a model this small wants ten times a big model's learning rate."""
    arguments = {
        "num_train_epochs": spec.epochs, "learning_rate": spec.learning_rate, "ema_decay": spec.ema_decay,
        "per_device_train_batch_size": 16, "lr_scheduler_type": "cosine", "warmup_steps": 20, "logging_steps": 25,
    }  # fmt: skip
    return Comparison(
        seed=spec.seed,
        target=spec.target,
        rate=spec.rate,
        percentile=spec.percentile,
        arguments=arguments,
        attack_options={"size": spec.trigger_size},
    )
