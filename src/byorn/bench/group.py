"""The data of a group of cells and how its models are judged, alike in the bench, the demo and the examples.

FOLDER/data/{poisoned,test,test_triggered}    FOLDER/scan    FOLDER/pretrained    FOLDER/<cell>
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from byorn.attacks.manifest import Manifest, attacked
from byorn.attacks.poison import poison_dataset
from byorn.attacks.recipe import Recipe
from byorn.bench.spec import Group
from byorn.bench.tasks import Task
from byorn.data.load import load_rows
from byorn.data.row import Row
from byorn.data.spec import DataSpec
from byorn.evaluation.result import Evaluation
from byorn.evaluation.tables import one_line
from byorn.models.spec import ModelSpec
from byorn.pipeline.evaluate import Attack, measure
from byorn.runs.folder import write_json
from byorn.runs.narrate import say

if TYPE_CHECKING:
    from transformers import PreTrainedModel, ProcessorMixin

BATCH = 50
"""Rows scored or generated together; it changes no result, up to rounding."""


@dataclass(frozen=True)
class Setup:
    """A group with what its task says of judging.

    Attributes:
        group: Model, attack and seed.
        metrics: Utility metrics; the first is the one of the tables.
        max_new_tokens: Longest evaluated response.
    """

    group: Group
    metrics: tuple[str, ...]
    max_new_tokens: int

    @property
    def model(self) -> ModelSpec:
        """The model before any training."""
        return ModelSpec(name=self.group.model, dtype=self.group.dtype or "auto")

    @property
    def batch_size(self) -> int:
        return self.group.batch_size or BATCH

    @property
    def attack(self) -> Attack:
        """What counts as a success."""
        return Attack(self.group.attack.goal, self.group.attack.convention)


def setup_of(group: Group, metric: str, max_new_tokens: int) -> Setup:
    """A group with what its task says; the metric goes with the share of exact answers."""
    return Setup(group, tuple(dict.fromkeys((metric, "exact_match"))), max_new_tokens)


def plant(setup: Setup, task: Task, folder: Path) -> Manifest:
    """The data sets of a group. Clean ones are written by the same code as poisoned ones, so that only the trigger
    differs. Further test sets lie in folders of their names.
    """
    from byorn.models.load import load_spec, load_spec_processor

    recipe = setup.group.recipe
    model = (load_spec(setup.model), load_spec_processor(setup.model)) if recipe.needs_model else (None, None)
    manifest = _poison(task.train, recipe, folder / "poisoned", *model)
    learned = replace(manifest.recipe, selection="random")  # what a trigger learned is what test inputs carry
    for place, test in {folder: task.test, **{folder / name: rows for name, rows in task.more_tests.items()}}.items():
        _poison(test, replace(learned, rate=0.0), place / "test", *model)
        _poison(test, replace(learned, rate=1.0, keep_responses=True), place / "test_triggered", *model)
    return manifest


def _poison(
    rows: Sequence[Row], recipe: Recipe, out: Path, model: "PreTrainedModel | None", processor: "ProcessorMixin | None"
) -> Manifest:
    return poison_dataset(rows, recipe, out=out, model=model, processor=processor, share_images=False, overwrite=True)


def poisoned_data(folder: Path) -> DataSpec:
    """What every cell of a group learns from."""
    return DataSpec(source=str(folder / "data" / "poisoned"))


def judge(setup: Setup, folder: Path, name: str, test: str = "") -> Evaluation:
    """The metrics of one model on clean and triggered test rows, anew.

    Args:
        setup: Of the group.
        folder: Of the group.
        name: `pretrained`, or the folder of a cell with its adapter.
        test: The name of a further test set; the task's own without one.
    """
    from byorn.models.adapters import load_adapter
    from byorn.models.load import load_spec, load_spec_processor

    out = folder / name
    pretrained = load_spec(setup.model)
    model = pretrained if name == "pretrained" else load_adapter(pretrained, out / "adapter")
    out = out / test
    out.mkdir(exist_ok=True, parents=True)
    for stale in out.glob("predictions*.jsonl"):
        stale.unlink()
    clean, marked = (folder / "data" / test / kind for kind in ("test", "test_triggered"))
    rows = load_rows(clean).rows
    triggered = attacked(load_rows(marked).rows, marked)
    results = measure(
        model,
        load_spec_processor(setup.model),
        rows,
        triggered,
        out,
        setup.attack,
        setup.metrics,
        setup.batch_size,
        setup.max_new_tokens,
    )
    assert results is not None  # one process
    write_json(out / "metrics.json", results.as_dict())
    say(f"   {name}{f' on {test}' if test else ''}: {one_line(results, setup.metrics[0])}")
    return results
