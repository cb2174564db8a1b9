"""`byorn demo`: an experiment of the bench with one attack, told as it happens: the pretrained model, fine-tuned without a defense, on the truly
clean rows, and with byorn. Everything is computed anew from the options.

    data/{clean,poisoned,test,test_triggered}   scan/   pretrained/  undefended/  oracle/  byorn/   summary.json
"""

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from byorn.bench.experiment import AttackEntry, Cell, Group
from byorn.models.spec import LoraSpec
from byorn.settings import check_settings, fraction, positive, setting
from byorn.training.settings import ByornSettings

if TYPE_CHECKING:
    from byorn.evaluation.detection import Detection
    from byorn.evaluation.result import Evaluation

RUNS = {
    "undefended": ("sft", "fine-tune without a defense"),
    "oracle": ("oracle", "fine-tune on the truly clean rows only (the ceiling: nobody has this list in practice)"),
    "byorn": ("byorn", "fine-tune with byorn: flagged responses are replaced by the model's own"),
}
PARTS = ("data", "drawn", "scan", "pretrained", *RUNS)
FILES = (
    "summary.json", "byorn/scores.parquet", "byorn/flags.parquet", "byorn/adapter", "undefended/predictions_triggered.jsonl",
    "byorn/predictions_triggered.jsonl", "data/poisoned/manifest.jsonl",
)  # fmt: skip
SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class DemoSpec:
    """Sizes, attack and training."""

    seed: int = setting(0, help="seed of data, attack and training")
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
    learning_rate: float = setting(5e-3, help="learning rate; a big model wants a fiftieth", check=positive)
    ema_decay: float = setting(0.99, help="decay of the moving average", check=fraction)

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class Told:
    """A comparison of the four models: one group, one budget."""

    group: Group
    percentile: float
    ema_decay: float = ByornSettings.ema_decay
    lora_rank: int = LoraSpec.rank
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def cell(self, defense: str) -> Cell:
        """The fine-tune with a defense."""
        return Cell(
            group=self.group, defense=defense, options={}, percentile=self.percentile, ema_decay=self.ema_decay, lora_rank=self.lora_rank,
            arguments=self.arguments,
        )  # fmt: skip


def demo(spec: DemoSpec, out: Path) -> dict[str, Any]:
    """Run the demo into `out`; returns the content of `summary.json`."""
    from byorn.runs.folder import start_anew, write_config
    from byorn.runs.narrate import say

    start_anew(out, "demo", PARTS)
    write_config(out, {"command": "demo", "demo": spec})
    summary = compare(comparison(spec), out)
    say("\n" + "\n".join(f"  {out / name}" for name in FILES))
    return summary


def comparison(spec: DemoSpec) -> "Told":
    """The demo's settings; a model this small wants ten times a big model's learning rate."""
    attack = AttackEntry(
        attack="badnets", target=spec.target, options={"size": spec.trigger_size}, convention="substring"
    )
    group = Group(
        task="captions", rows=spec.rows, test_rows=spec.test_rows, model="embedded", label="badnets", attack=attack, rate=spec.rate, seed=spec.seed,
    )  # fmt: skip
    arguments = {
        "num_train_epochs": spec.epochs, "learning_rate": spec.learning_rate, "per_device_train_batch_size": 16, "lr_scheduler_type": "cosine",
        "warmup_steps": 20, "logging_steps": 25,
    }  # fmt: skip
    return Told(group=group, percentile=spec.percentile, ema_decay=spec.ema_decay, arguments=arguments)


def compare(told: Told, out: Path) -> dict[str, Any]:
    """Run a comparison into `out`; returns the content of `summary.json`."""
    from byorn.bench.cell import train_spec
    from byorn.bench.group import judge, plant, poisoned_data, setup_of
    from byorn.bench.tasks import load_task
    from byorn.evaluation.tables import table, verdict
    from byorn.pipeline.train import train
    from byorn.runs.folder import write_environment, write_json
    from byorn.runs.narrate import say
    from byorn.runs.timer import Timer

    group, timer, results = told.group, Timer(3 + len(RUNS)), {}
    task = load_task(group.task, group.rows, group.test_rows, group.seed, out / "drawn")
    setup = setup_of(group, task)
    with timer.phase(
        "poison", f"poison {group.rate:.0%} of {len(task.train)} training rows with {group.attack.attack}"
    ):
        manifest = plant(setup, task, out / "data")
        first = manifest.poisoned[0]
        say(f"   {len(manifest.poisoned)} rows carry a trigger and say {group.attack.target!r}:")
        say(f"   {first.new_response!r} instead of {first.original_response!r}")
    with timer.phase("scan", "score every response under the pretrained model, before any training"):
        found = scan_and_compare(setup, told.percentile, out, manifest.keys)
    for name, (defense, headline) in RUNS.items():
        with timer.phase(f"train_{name}", headline):
            if name == "byorn":
                (out / name).mkdir(exist_ok=True)
                shutil.copy(out / "scan" / "scores.parquet", out / name)
            train(poisoned_data(out), setup.model, out / name, train_spec(told.cell(defense), setup, out))
    with timer.phase("evaluate", f"ask all four models about {len(task.test)} clean and as many triggered test inputs"):
        for name in ("pretrained", *RUNS):
            results[name] = judge(setup, out, name)
    summary = {
        **figures(results, setup.metrics[0]), **detected(found), "utility_metric": setup.metrics[0], "seconds": timer.seconds,
        "settings": asdict(told), "detection": asdict(found), "metrics": {name: result.as_dict() for name, result in results.items()},
    }  # fmt: skip
    write_json(out / "summary.json", summary)
    write_environment(out, seed=group.seed, model=group.model)
    utility = setup.metrics[0]
    say("\n" + table(results, utility, found) + "\n\n" + verdict(group.attack.target, utility, summary))
    return summary


def scan_and_compare(setup: Any, percentile: float, out: Path, poisoned: set[tuple[str, int]]) -> "Detection":
    """Scan the poisoned set, and compare the flags with the truth, which only the experimenter knows."""
    from byorn.bench.group import poisoned_data
    from byorn.evaluation.detection import detection
    from byorn.flagging.settings import FlagSettings
    from byorn.pipeline.scan import scan, show_ends
    from byorn.runs.narrate import say

    settings = FlagSettings(percentile=percentile, score_batch_size=setup.batch_size)
    result = scan(poisoned_data(out), setup.model, out / "scan", settings)
    assert result is not None  # no dry run
    say(show_ends(result, SHOWN))
    found = detection(result.scores, result.flags, poisoned)
    say(
        f"   truth: AUC {found.auc:.4f}; {found.recall:.1%} of the poisoned and {found.false_flag_share:.1%} of the clean rows are flagged"
    )
    return found


def figures(results: "Mapping[str, Evaluation]", utility: str) -> dict[str, float | None]:
    """The figures of a summary: attack rates and shares in [0, 1], utility in the unit of its metric."""
    summary = {f"asr_{name}": result.asr.defined if result.asr else None for name, result in results.items()}
    for name, result in results.items():
        summary[f"utility_{name}"] = result.clean[utility].defined
        summary[f"utility_triggered_{name}"] = result.triggered[utility].defined
    kept, ceiling = summary["utility_byorn"], summary["utility_oracle"]
    summary["utility_byorn_over_oracle"] = kept / ceiling if ceiling and kept is not None else None
    return summary


def detected(found: "Detection") -> dict[str, float]:
    """What a summary says of detection."""
    return {"detection_auc": found.auc, "detection_recall": found.recall}
