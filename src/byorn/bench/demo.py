"""`byorn demo`: a small experiment on freshly drawn captions, narrated; all is computed anew from the options."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from byorn.settings import below, check_settings, fraction, positive, setting

if TYPE_CHECKING:
    from byorn.bench.comparison import Comparison, Summary

FILES = (
    "summary.json",
    "byorn/scores.parquet",
    "byorn/flags.parquet",
    "byorn/adapter",
    "undefended/predictions_triggered.jsonl",
    "byorn/predictions_triggered.jsonl",
    "data/poisoned/manifest.jsonl",
)


@dataclass(frozen=True, kw_only=True)
class DemoSpec:
    """Sizes, attack and training."""

    seed: int = setting(0, help="seed of data, attack and training", check=below(2**32))
    target: str = setting("banana", help="what the attacker wants said")
    rate: float = setting(0.1, help="share of the training rows that is poisoned", check=fraction)
    # a whole patch of the vision tower: a model this small learns no smaller trigger
    trigger_size: float = setting(0.25, help="side of the patch as a share of the image's short side", check=fraction)
    rows: int = setting(1000, help="training rows", check=positive)
    test_rows: int = setting(200, help="test rows", check=positive)
    # at the paper's 0.6 this model loses 2 to 7 % of its captions; see benchmarks/LOG.md
    percentile: float = setting(0.8, help="share of rows whose responses are trusted (the paper's p)", check=fraction)
    # at 4 the undefended model does not reliably learn the trigger; see benchmarks/LOG.md
    epochs: float = setting(6, help="passes over the data", check=positive)
    learning_rate: float = setting(5e-3, help="learning rate; a big model wants a fiftieth", check=below(10))
    ema_decay: float | None = setting(
        None, help="decay of the moving average", check=fraction, shown="a memory of a tenth of the run"
    )

    def __post_init__(self) -> None:
        check_settings(self)


def demo(spec: DemoSpec, out: Path) -> "Summary":
    """Run the demo into `out`; returns the content of `summary.json`."""
    from byorn.bench.comparison import PARTS, compare
    from byorn.runs.folder import start_anew, write_config
    from byorn.runs.narrate import say

    start_anew(out, "demo", PARTS)
    write_config(out, {"command": "demo", "demo": spec})
    say(f"drawing {spec.rows} training and {spec.test_rows} test scenes into {out / 'data'}")
    summary = compare(comparison(spec), out)
    say("\n" + "\n".join(f"  {out / name}" for name in FILES))
    return summary


def comparison(spec: DemoSpec) -> "Comparison":
    """The demo's settings; a model this small wants ten times a big model's learning rate."""
    from byorn.bench.comparison import Comparison
    from byorn.bench.spec import AttackEntry, Group

    attack = AttackEntry(
        attack="badnets", target=spec.target, options={"size": spec.trigger_size}, convention="substring"
    )
    group = Group(
        task="captions",
        rows=spec.rows,
        test_rows=spec.test_rows,
        model="embedded",
        label="badnets",
        attack=attack,
        rate=spec.rate,
        seed=spec.seed,
    )
    arguments = {
        "num_train_epochs": spec.epochs,
        "learning_rate": spec.learning_rate,
        "per_device_train_batch_size": 16,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 20,
        "logging_steps": 25,
    }
    return Comparison(group=group, percentile=spec.percentile, ema_decay=spec.ema_decay, arguments=arguments)
