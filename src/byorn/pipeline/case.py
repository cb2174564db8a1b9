"""What a defense is given by a training: its rows, a scan of them, a model that was fine-tuned on all of them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from byorn.defenses.plan import Case, Plan, Tuned, trust_all
from byorn.errors import ConfigError
from byorn.flagging.table import Flags
from byorn.models.adapters import load_adapter
from byorn.models.inputs import Inputs
from byorn.pipeline.build import build_config, build_trainer
from byorn.pipeline.held_out import without_evaluation
from byorn.pipeline.reuse import NONE, adopt_scan
from byorn.pipeline.scan import score_and_flag
from byorn.pipeline.settings.train import TrainSpec
from byorn.pipeline.training_run import TrainingRun
from byorn.runs.folder import read_json, write_json
from byorn.runs.narrate import say
from byorn.scoring.table import SCORES
from byorn.training.checkpoints import last_checkpoint

if TYPE_CHECKING:
    from peft import PeftModel


def planned(defend: Callable[[Case], object], run: TrainingRun) -> Plan:
    """What the defense decides about the rows of a run.

    Raises:
        ConfigError: It gives something else, as one of a plugin may.
    """
    plan, name, scan = defend(_case(run)), run.spec.defense, run.spec.scan
    if not isinstance(plan, Plan):
        fix = "return a Plan, as `drop` of byorn.defenses.plan makes it"
        raise ConfigError(f"defense {name!r}: it gives {type(plan).__name__}; {fix}")
    if scan not in (None, NONE) and not (run.out / SCORES).exists():
        say(f"--scan is ignored: {name} looks at no scores, and at none of the decisions made there")
    if plan.flags.reviews.any:
        say(f"  {plan.flags.reviews}", **asdict(plan.flags.reviews))
    return plan


def _case(run: TrainingRun) -> Case:
    return Case(
        **vars(run.inputs), folder=run.out, files=run.out / run.spec.defense, seed=run.config.seed,
        batch_size=run.config.score_batch_size, scored=partial(_scored, run),
        fine_tuned=partial(_fine_tuned, run.inputs, run.spec),
    )  # fmt: skip


def _scored(run: TrainingRun) -> tuple[Flags, float]:
    """The flags of a scan of the same data and model, or of one made now.

    Rows held out for evaluation are scored too, so that a review of the whole data set stays of use.
    """
    adopt_scan(run.whole, run.out, run.spec.scan)
    result = score_and_flag(run.whole, run.out, run.config)
    return result.flags.of([row.key for row in run.inputs.rows]), result.seconds


@contextmanager
def _fine_tuned(inputs: Inputs, spec: TrainSpec, folder: Path) -> Iterator[Tuned]:
    """The model after plain fine-tuning on all rows, see `Case`; `folder` gets `checkpoints/`, `adapter/` and
    `tuned.json`, which says that the adapter is whole.
    """
    done = folder / "tuned.json"
    if (tuned := read_json(done)) is not None:
        say(f"using the adapter in {folder / 'adapter'}")
        model = load_adapter(inputs.model, folder / "adapter")
        spent = float(tuned["seconds"])
    else:
        model, spent = _fine_tune(inputs, spec, folder)
        write_json(done, {"seconds": spent})
    try:
        yield Tuned(model.eval(), spent)
    finally:
        model.unload()


def _fine_tune(inputs: Inputs, spec: TrainSpec, folder: Path) -> "tuple[PeftModel, float]":
    spec = without_evaluation(spec)
    config = build_config(spec, folder / "checkpoints")
    trainer = build_trainer(inputs.model, inputs.processor, inputs.dataset, trust_all(inputs.rows), config, spec)
    resume = last_checkpoint(folder / "checkpoints")
    origin = f", from {resume.name}" if resume else ""
    say(f"{spec.defense}: first fine-tuning on all {len(inputs.rows)} rows{origin}")
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    trainer.save_model(str(folder / "adapter"))
    return trainer.model, trainer.tally.seconds["training"]
