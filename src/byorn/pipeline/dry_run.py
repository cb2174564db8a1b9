"""What a training will take, said before it begins: timed step by step in a dry run, estimated where it is long."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from byorn.defenses.plan import Plan, trust_all
from byorn.flagging.rules import flagged_by
from byorn.pipeline.build import adapter_weights, build_config, build_lora, build_trainer
from byorn.pipeline.estimate import LONG, TrainingEstimate, estimate_training
from byorn.pipeline.held_out import without_evaluation
from byorn.pipeline.measured import measure
from byorn.pipeline.reuse import find_scan
from byorn.pipeline.seeing import tell_seeing
from byorn.pipeline.settings.defenses import FLAGGING, SAMPLING
from byorn.pipeline.training_run import TrainingRun
from byorn.runs.narrate import say
from byorn.scoring.table import SCORES
from byorn.training.checkpoints import any_checkpoint

if TYPE_CHECKING:
    from byorn.training.config import ByornConfig


def tell_dry_run(run: TrainingRun) -> None:
    """Time a step of training on the longest, middle and shortest rows, and say what the run would take."""
    defense, by_share = run.spec.defense, run.config.rule == "paper"
    scanned = defense in FLAGGING and ((run.out / SCORES).exists() or find_scan(run.whole, run.out, run.spec.scan))
    column = flagged_by(run.config) if defense in FLAGGING and not scanned else None
    sampled = defense in SAMPLING and by_share
    say(str(_timed(run, round((1 - run.config.percentile) * len(run.inputs.rows)) if sampled else 0, column)))
    if not run.spec.lora.vision:
        tell_seeing(run.inputs, run.config.score_batch_size)
    if defense in SAMPLING and not by_share:
        say("  how many rows are flagged is known after the scan; sampling their responses comes on top")
    if defense not in (*FLAGGING, "sft"):
        say(f"  the work of {defense} before training comes on top")


def _timed(run: TrainingRun, flagged: int, column: str | None) -> TrainingEstimate:
    """The estimate by a trainer that is thrown away."""
    inputs, spec = run.inputs, without_evaluation(run.spec)
    with tempfile.TemporaryDirectory() as nowhere:
        config = build_config(spec, Path(nowhere))
        before = _estimated(run, config, flagged, column)
        trust = trust_all(inputs.rows)
        trainer = build_trainer(inputs.model, inputs.processor, inputs.dataset, trust, config, spec)
        return before.tried(measure(trainer, bool(flagged)))


def tell_long_run(run: TrainingRun, plan: Plan, config: "ByornConfig") -> None:
    """Say what a long training will take, unless it goes on."""
    if len(run.inputs.rows) >= LONG and not any_checkpoint(run.checkpoints):
        flagged = int(plan.flags.replaced.sum()) if run.spec.defense in SAMPLING else 0
        say(str(_estimated(run, config, flagged)))


def _estimated(run: TrainingRun, config: "ByornConfig", flagged: int, column: str | None = None) -> TrainingEstimate:
    weights = adapter_weights(run.inputs.model, build_lora(run.inputs.model, run.spec.lora))
    return estimate_training(run.inputs, config, flagged=flagged, adapter=weights, column=column)
