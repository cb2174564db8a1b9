"""Four models of one group, compared and narrated: pretrained, fine-tuned without a defense, on the truly clean rows,
and with byorn.

`byorn demo` and the examples are this comparison on different data. The data are prepared, the cells trained and the
models judged as those of any experiment; the folders have the names that people know:

    data/{clean,poisoned,test,test_triggered}   scan/   pretrained/  undefended/  oracle/  byorn/   summary.json
"""

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from byorn.attacks.manifest import Manifest
from byorn.bench.cell import train_spec
from byorn.bench.group import Setup, judge, plant, poisoned_data, setup_of
from byorn.bench.spec import Cell, Group
from byorn.bench.tasks import Task, load_task
from byorn.evaluation.detection import Detection, detection
from byorn.evaluation.result import Evaluation
from byorn.evaluation.tables import table, verdict
from byorn.flagging.settings import FlagSettings
from byorn.models.spec import LoraSpec
from byorn.pipeline.scan import scan, show_ends
from byorn.pipeline.train import train
from byorn.runs.folder import write_environment, write_json
from byorn.runs.narrate import say
from byorn.runs.timer import Timer
from byorn.scoring.table import SCORES
from byorn.training.settings import ByornSettings

RUNS = {
    "undefended": ("sft", "fine-tune without a defense"),
    "oracle": ("oracle", "fine-tune on the truly clean rows only (the ceiling: nobody has this list in practice)"),
    "byorn": ("byorn", "fine-tune with byorn: flagged responses are replaced by the model's own"),
}
"""Folder -> its defense and headline."""
PARTS = ("data", "scan", "pretrained", *RUNS)
SHOWN = 5
Summary = dict[str, object]
"""The content of `summary.json`: figures by name, and everything behind them."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What is compared; the same budget for every run.

    Attributes:
        group: Task, model, attack and seed.
        percentile: The paper's p.
        ema_decay: Decay of byorn's moving average; None: from the length of the run.
        lora_rank: Of every adapter.
        arguments: Fields of `ByornConfig`.
    """

    group: Group
    percentile: float
    ema_decay: float | None = ByornSettings.ema_decay
    lora_rank: int = LoraSpec.rank
    arguments: Mapping[str, object] = field(default_factory=dict)

    def cell(self, defense: str) -> Cell:
        """The fine-tune with a defense."""
        return Cell(
            group=self.group,
            defense=defense,
            options={},
            percentile=self.percentile,
            ema_decay=self.ema_decay,
            lora_rank=self.lora_rank,
            arguments=self.arguments,
        )


def compare(comparison: Comparison, out: Path) -> Summary:
    """Run a comparison into `out`; returns the content of `summary.json`."""
    group = comparison.group
    timer = Timer(3 + len(RUNS))
    task = load_task(group.task, group.rows, group.test_rows, group.seed, out / "data")
    setup = setup_of(group, task.metric, task.max_new_tokens)
    headline = f"poison {group.rate:.0%} of {len(task.train)} training rows with {group.attack.attack}"
    with timer.phase("poison", headline):
        manifest = plant_and_show(setup, task, out)
    with timer.phase("scan", "score every response under the pretrained model, before any training"):
        found = scan_and_compare(setup, comparison.percentile, out, manifest)
    for name, (defense, headline) in RUNS.items():
        with timer.phase(f"train_{name}", headline):
            if name == "byorn":
                (out / name).mkdir(exist_ok=True)
                shutil.copy(out / "scan" / SCORES, out / name)
            train(poisoned_data(out), setup.model, out / name, train_spec(comparison.cell(defense), setup, out))
    with timer.phase("evaluate", f"ask all four models about {len(task.test)} clean and as many triggered test inputs"):
        results = {name: judge(setup, out, name) for name in ("pretrained", *RUNS)}
    utility = setup.metrics[0]
    summary: Summary = {
        **figures(results, utility),
        "detection_auc": found.auc,
        "detection_recall": found.recall,
        "utility_metric": utility,
        "seconds": timer.seconds,
        "settings": settings(comparison, setup),
        "detection": asdict(found),
        "metrics": {name: result.as_dict() for name, result in results.items()},
    }
    write_json(out / "summary.json", summary)
    write_environment(out, seed=group.seed, model=group.model)
    say("\n" + table(results, utility, found) + "\n\n" + verdict(group.attack.target, utility, summary))
    return summary


def plant_and_show(setup: Setup, task: Task, out: Path) -> Manifest:
    """Write the data sets of the group, and say what one poisoned row says now."""
    manifest = plant(setup, task, out / "data")
    first = manifest.poisoned[0]
    say(f"   {len(manifest.poisoned)} rows carry a trigger and say {setup.group.attack.target!r}:")
    say(f"   {first.new_response!r} instead of {first.original_response!r}")
    return manifest


def scan_and_compare(setup: Setup, percentile: float, out: Path, manifest: Manifest) -> Detection:
    """Scan the poisoned set, and compare the flags with the truth, which only the experimenter knows."""
    rule = FlagSettings(rule="paper", percentile=percentile, score_batch_size=setup.batch_size)
    result = scan(poisoned_data(out), setup.model, out / "scan", rule)
    assert result is not None  # no dry run
    say(show_ends(result, SHOWN))
    found = detection(result.scores, result.flags, manifest.keys)
    caught = found.recall
    mistaken = found.false_flag_share
    say(f"   truth: AUC {found.auc:.4f}; {caught:.1%} of the poisoned and {mistaken:.1%} of the clean rows are flagged")
    return found


def figures(results: Mapping[str, Evaluation], utility: str) -> dict[str, float | None]:
    """The figures of a summary: attack rates and shares in [0, 1], utility in the unit of its metric."""
    summary = {f"asr_{name}": result.asr.defined if result.asr else None for name, result in results.items()}
    for name, result in results.items():
        summary[f"utility_{name}"] = result.clean[utility].defined
        summary[f"utility_triggered_{name}"] = result.triggered[utility].defined
    kept = summary["utility_byorn"]
    ceiling = summary["utility_oracle"]
    summary["utility_byorn_over_oracle"] = kept / ceiling if ceiling and kept is not None else None
    return summary


def settings(comparison: Comparison, setup: Setup) -> dict[str, object]:
    """Everything that decides a summary, flat, as `summary.json` has always had it."""
    group = comparison.group
    attack = comparison.group.attack
    return {
        "seed": group.seed,
        "attack": attack.attack,
        "target": attack.target,
        "objective": attack.objective,
        "selection": group.recipe.selection,
        "rate": group.rate,
        "attack_options": dict(attack.options),
        "convention": attack.convention,
        "source": attack.source,
        "percentile": comparison.percentile,
        "metrics": list(setup.metrics),
        "model": group.model,
        "dtype": setup.model.dtype,
        "lora_rank": comparison.lora_rank,
        "arguments": {**comparison.arguments, "ema_decay": comparison.ema_decay},
        "batch_size": setup.batch_size,
        "max_new_tokens": setup.max_new_tokens,
    }
