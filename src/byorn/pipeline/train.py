"""`byorn train`: scan the data if need be, fine-tune without learning the flagged responses, export the adapter."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from byorn.data.spec import DataSpec
from byorn.defenses import Case, Plan, defense_named
from byorn.models.inputs import REJECTS, load_inputs, open_rows, training_rows
from byorn.models.lora import idle_layers
from byorn.models.spec import ModelSpec
from byorn.models.template import special_tokens
from byorn.pipeline.build import build_config, build_layout, build_trainer
from byorn.pipeline.case import planned
from byorn.pipeline.dry_run import tell_dry_run, tell_long_run
from byorn.pipeline.held_out import with_evaluation
from byorn.pipeline.resume import finished_training, has_begun, require_same_settings
from byorn.pipeline.reuse import require_scan, with_its_store
from byorn.pipeline.scores import require_room
from byorn.pipeline.settings.train import TrainSpec
from byorn.pipeline.summary import TrainingSummary, summarize
from byorn.pipeline.training_run import TrainingRun, keep_settings
from byorn.runs.alone import alone
from byorn.runs.folder import make_folder, write_environment, write_json
from byorn.runs.narrate import say, seconds
from byorn.runs.ranks import is_main
from byorn.runs.rejects import put_back_if_refused
from byorn.scoring.table import SCORES
from byorn.training.checkpoints import last_checkpoint
from byorn.training.stripped import tell_stripped

if TYPE_CHECKING:
    from datasets import Dataset

    from byorn.training.trainer import ByornTrainer


def train(data: DataSpec, model: ModelSpec, out: Path, spec: TrainSpec) -> TrainingSummary | None:
    """Fine-tune into `out`: the files of the defense (those of a scan, for byorn), `checkpoints/`, `adapter/`
    (safetensors only, with a model card) and `training.json`.

    A run that was killed goes on from its last checkpoint when the same call is made again. With `spec.dry_run`
    everything is checked and said, nothing is trained, and None comes back.

    Raises:
        ByornError: Data, model or configuration cannot be used, `out` belongs to another run, or one is at work there.
    """
    defend = defense_named(spec.defense, spec.defense_options)
    if not os.path.exists(out / SCORES):  # a run that has taken the scan over can do without it
        require_scan(spec.scan)
    spec = with_evaluation(spec, data)
    config = build_config(spec, out / "checkpoints")
    layout = build_layout(config, spec.defense)
    make_folder(out)
    with alone(out):
        begun = has_begun(out, spec.defense)
        model = with_its_store(model, spec.scan, out if begun else None)
        settings = {"command": "train", "data": data, "model": model, "train": spec}
        if begun and not spec.dry_run and is_main():  # the others would read the file while the first one writes it
            require_same_settings(out, settings)
        with put_back_if_refused(out / REJECTS):
            rows = open_rows(data, model, out)
            if not spec.dry_run and (finished := finished_training(out, rows.loaded.fingerprint, spec.scan)):
                return finished
            whole = load_inputs(rows, layout)
            require_room(out / SCORES, whole)
            if not spec.dry_run:
                keep_settings(out, settings, config)
        run = TrainingRun.of(whole, data, out, settings, spec, config)
        if spec.dry_run:
            tell_dry_run(run)
            return None
        return _fine_tune(run, defend, data.source)


def _fine_tune(run: TrainingRun, defend: Callable[[Case], object], source: str) -> TrainingSummary:
    """Train as the defense has it, and export the adapter."""
    plan = planned(defend, run)
    config = build_config(run.spec, run.checkpoints, plan.arguments)
    keep_settings(run.out, run.settings, config)
    tell_long_run(run, plan, config)
    model, processor = run.inputs.model, run.inputs.processor
    learned = _dataset(run, plan)
    trainer = build_trainer(model, processor, learned, plan.flags, config, run.spec, run.held_out)
    plan.prepare(trainer)
    _train(trainer, run.checkpoints)
    summary = summarize(
        trainer, plan, defense=run.spec.defense, data=run.whole.identity["data"], rows=len(run.inputs.rows)
    )
    if trainer.is_world_process_zero():
        _export(trainer, summary, run, source)
    return summary


def _dataset(run: TrainingRun, plan: Plan) -> "Dataset":
    """The rows of the plan as they are learned."""
    from byorn.data.dataset import to_dataset

    return run.inputs.dataset if plan.rows is None else to_dataset(training_rows(plan.rows, run.inputs.processor))


def _train(trainer: "ByornTrainer", checkpoints: Path) -> None:
    """Train, from the last checkpoint if there is one."""
    resume = last_checkpoint(checkpoints, trainer.further_adapters)
    replaced = int(trainer.flagged.sum())
    origin = f", from {resume.name}" if resume else ""
    say(f"training on {len(trainer.train_dataset)} rows, {replaced} with replaced responses{origin}")
    if replaced and (drawn := trainer.sampler.drawn) < replaced:
        say(f"  max_flagged_share {trainer.args.max_flagged_share:g}: each epoch visits {drawn} of these, in turn")
    tell_stripped(trainer.stripped)
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    if idle := idle_layers(trainer.model):
        say(
            f"  warning: no gradient reached the LoRA of {len(idle)} layer(s), it changes nothing there; first: "
            f"{idle[0]}"
        )


def _export(trainer: "ByornTrainer", summary: TrainingSummary, run: TrainingRun, source: str) -> None:
    """The adapter with its card, and what ran."""
    from byorn.training.card import write_card

    facts, spent, out = summary.as_dict(), summary.seconds, run.out
    model, digest = (run.inputs.identity[name] for name in ("model", "model_digest"))
    trainer.save_model(str(out / "adapter"))
    write_environment(
        out, model=model, model_digest=digest, seed=trainer.args.seed,
        special_tokens=sorted(special_tokens(trainer.processing_class)),
    )  # fmt: skip
    write_card(out / "adapter", facts, model, source)
    write_json(out / "training.json", {**facts, "log": trainer.state.log_history})
    say(
        f"trained in {seconds(spent['training'])}, of which sampling {seconds(spent['sampling'])}; "
        f"adapter in {out / 'adapter'}"
    )
