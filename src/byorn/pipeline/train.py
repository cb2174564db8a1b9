"""`byorn train`: scan the data if need be, fine-tune without learning the flagged responses, export the adapter."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from byorn.data.spec import DataSpec
from byorn.defenses import DEFENSES, Case, Plan, defense_named
from byorn.defenses.plan import Tuned, trust_all
from byorn.errors import ConfigError, MismatchError
from byorn.flagging.rules import flagged_by
from byorn.flagging.settings import FlagSettings
from byorn.flagging.table import Flags, read_reviews
from byorn.models.adapters import load_adapter
from byorn.models.inputs import REJECTS, Inputs, load_inputs, open_rows, training_rows
from byorn.models.lora import idle_layers
from byorn.models.sharding import Layout, wanted_layout
from byorn.models.spec import ModelSpec
from byorn.models.template import special_tokens
from byorn.pipeline.build import (
    adapter_weights,
    build_config,
    build_lora,
    build_trainer,
    require_engine_fits,
    require_layers,
)
from byorn.pipeline.estimate import LONG, estimate_training, measure
from byorn.pipeline.held_out import split, with_evaluation, without_evaluation
from byorn.pipeline.reuse import (
    NONE,
    SCORES,
    adopt_scan,
    find_scan,
    later_decisions,
    require_scan,
    with_its_store,
)
from byorn.pipeline.scan import score_and_flag
from byorn.pipeline.scores import require_room
from byorn.pipeline.settings import FLAGGING, SAMPLING, SHARDABLE, TrainSpec
from byorn.pipeline.summary import TrainingSummary, summarize
from byorn.runs.folder import make_folder, read_json, same_config, write_config, write_environment, write_json
from byorn.runs.narrate import say, seconds
from byorn.runs.ranks import is_main
from byorn.runs.rejects import put_back_if_refused
from byorn.training.checkpoints import any_checkpoint, last_checkpoint

if TYPE_CHECKING:
    from datasets import Dataset
    from peft import PeftModel

    from byorn.training.config import ByornConfig
    from byorn.training.trainer import ByornTrainer

__all__ = ["DEFENSES", "TrainSpec", "build_config", "train"]


def train(data: DataSpec, model: ModelSpec, out: Path, spec: TrainSpec) -> TrainingSummary | None:
    """Fine-tune into `out`: the files of the defense (those of a scan, for byorn), `checkpoints/`, `adapter/`
    (safetensors only, with a model card) and `training.json`.

    A run that was killed goes on from its last checkpoint when the same call is made again. With `spec.dry_run`
    everything is checked and said, nothing is trained, and None comes back.

    Raises:
        ByornError: Data, model or configuration cannot be used, or `out` belongs to another run.
    """
    defend = defense_named(spec.defense, spec.defense_options)
    if not (out / SCORES).exists():  # a run that has taken the scan over can do without it
        require_scan(spec.scan)
    spec = with_evaluation(spec, data)
    config = build_config(spec, out / "checkpoints")
    layout = _layout(config, spec)
    make_folder(out)
    model = with_its_store(model, spec.scan, out if _begun(out, spec) else None)
    settings = {"command": "train", "data": data, "model": model, "train": spec}
    if not spec.dry_run and is_main():  # the others would read the file while the first one writes it
        _check_config(out, settings, spec)
    with put_back_if_refused(out / REJECTS):
        rows = open_rows(data, model, out)
        if not spec.dry_run and (finished := _finished(out, rows.loaded.fingerprint, spec.scan)):
            return finished
        whole = load_inputs(rows, layout)
        require_room(out / SCORES, whole)
        if not spec.dry_run:
            write_config(out, {**settings, "resolved": config.to_dict()})
    inputs, held_out = split(whole, data, spec, config.seed, out)
    require_layers(inputs.model, spec.lora.targets)
    require_engine_fits(inputs.model, config, spec.lora)
    if spec.dry_run:
        _tell_dry_run(whole, inputs, out, spec)
        return None
    plan = _plan(spec.defense, defend(_case(whole, inputs, out, spec, config)))
    if spec.scan not in (None, NONE) and not (out / SCORES).exists():
        say(f"--scan is ignored: {spec.defense} looks at no scores, and at none of the decisions made there")
    if plan.flags.reviews.any:
        say(f"  {plan.flags.reviews}", **asdict(plan.flags.reviews))
    config = build_config(spec, out / "checkpoints", plan.arguments)
    write_config(out, {**settings, "resolved": config.to_dict()})
    if len(inputs.rows) >= LONG and not any_checkpoint(out / "checkpoints"):
        _tell_long_run(inputs, plan, config, spec)
    trainer = build_trainer(inputs.model, inputs.processor, _dataset(inputs, plan), plan.flags, config, spec, held_out)
    plan.prepare(trainer)
    _run(trainer, out / "checkpoints")
    summary = summarize(trainer, plan, defense=spec.defense, data=rows.loaded.fingerprint, rows=len(inputs.rows))
    if trainer.is_world_process_zero():
        _export(trainer, summary, out, data, inputs.identity)
    return summary


def _plan(name: str, given: object) -> Plan:
    """What a defense gives; a plugin's may give something else."""
    if not isinstance(given, Plan):
        raise ConfigError(
            f"defense {name!r}: it gives {type(given).__name__}; return a Plan, as `drop` of byorn.defenses.plan makes "
            "it"
        )
    return given


def _layout(config: "ByornConfig", spec: TrainSpec) -> Layout | None:
    """How the weights are sharded, if they are.

    Raises:
        ConfigError: The defense cannot be had so.
    """
    layout = wanted_layout(config.fsdp_plugin_args)
    if layout and spec.defense not in SHARDABLE:
        raise ConfigError(
            f"fsdp: {spec.defense} runs the model in each process by itself, and shards take all; use DDP (plain "
            f"torchrun), or one of {', '.join(SHARDABLE)}"
        )
    return layout


def _finished(out: Path, fingerprint: str, scan: str | None) -> TrainingSummary | None:
    """What a run told that has ended in `out`; a run ends with `training.json`, after its adapter.

    Raises:
        MismatchError: It was on other rows, or with other decisions about them than its folder, or `scan`, has now.
    """
    summary = TrainingSummary.read(out / "training.json")
    if summary is None or not (out / "adapter" / "adapter_model.safetensors").is_file():
        return None
    if summary.data != fingerprint:
        raise MismatchError(f"{out}: it is finished, and the data have changed since; use another --out")
    decided = not (out / "flags.parquet").exists() or _decided(out / "flags.parquet") == summary.reviews
    if not decided or later_decisions(out, scan):
        raise MismatchError(f"{out}: it is finished, and decisions about rows have changed since; use another --out")
    say(
        f"finished before: {summary.steps} steps, adapter in {out / 'adapter'}; nothing to do "
        "(another run wants another --out)"
    )
    return summary


def _decided(path: Path) -> dict[str, int]:
    words = read_reviews(path)
    return {word: words.count(word) for word in ("keep", "replace", "drop")}


def _run(trainer: "ByornTrainer", checkpoints: Path) -> None:
    """Train, from the last checkpoint if there is one."""
    resume = last_checkpoint(checkpoints, trainer.further_adapters)
    replaced = int(trainer.flagged.sum())
    origin = f", from {resume.name}" if resume else ""
    say(f"training on {len(trainer.train_dataset)} rows, {replaced} with replaced responses{origin}")
    if replaced and (drawn := trainer.sampler.drawn) < replaced:
        say(f"  max_flagged_share {trainer.args.max_flagged_share:g}: each epoch visits {drawn} of these, in turn")
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    if idle := idle_layers(trainer.model):
        say(
            f"  warning: no gradient reached the LoRA of {len(idle)} layer(s), it changes nothing there; first: "
            f"{idle[0]}"
        )


def _export(
    trainer: "ByornTrainer", summary: TrainingSummary, out: Path, data: DataSpec, identity: Mapping[str, str]
) -> None:
    """The adapter with its card, and what ran."""
    from byorn.training.card import write_card

    facts, model = summary.as_dict(), identity["model"]
    spent = summary.seconds
    trainer.save_model(str(out / "adapter"))
    write_environment(
        out, model=model, model_digest=identity["model_digest"], seed=trainer.args.seed,
        special_tokens=sorted(special_tokens(trainer.processing_class)),
    )  # fmt: skip
    write_card(out / "adapter", facts, model, data.source)
    write_json(out / "training.json", {**facts, "log": trainer.state.log_history})
    say(
        f"trained in {seconds(spent['training'])}, of which sampling {seconds(spent['sampling'])}; "
        f"adapter in {out / 'adapter'}"
    )


def _tell_dry_run(whole: Inputs, inputs: Inputs, out: Path, spec: TrainSpec) -> None:
    """Time a step of training on the longest, middle and shortest rows, and say what the run would take."""
    found = spec.defense in FLAGGING and ((out / SCORES).exists() or find_scan(whole, out, spec.scan))
    weights = adapter_weights(inputs.model, build_lora(inputs.model, spec.lora))
    spec = without_evaluation(spec)
    with tempfile.TemporaryDirectory() as nowhere:
        config = build_config(spec, Path(nowhere))
        by_share = spec.defense in SAMPLING and config.rule == "paper"
        flagged = round((1 - config.percentile) * len(inputs.rows)) if by_share else 0
        column = None if found or spec.defense not in FLAGGING else flagged_by(config)
        before = estimate_training(inputs, config, flagged=flagged, adapter=weights, column=column)
        trainer = build_trainer(
            inputs.model, inputs.processor, inputs.dataset, trust_all(inputs.rows), config, spec, None
        )
        say(str(before.tried(measure(trainer, bool(flagged)))))
    if spec.defense in SAMPLING and config.rule == "evidence":
        say("  how many rows are flagged is known after the scan; sampling their responses comes on top")
    if spec.defense not in (*FLAGGING, "sft"):
        say(f"  the work of {spec.defense} before training comes on top")


def _tell_long_run(inputs: Inputs, plan: Plan, config: "ByornConfig", spec: TrainSpec) -> None:
    """Say what a long training will take."""
    flagged = int(plan.flags.replaced.sum()) if spec.defense in SAMPLING else 0
    weights = adapter_weights(inputs.model, build_lora(inputs.model, spec.lora))
    say(str(estimate_training(inputs, config, flagged=flagged, adapter=weights)))


def _case(whole: Inputs, inputs: Inputs, out: Path, spec: TrainSpec, config: "ByornConfig") -> Case:
    """What the defense is given."""
    return Case(
        **vars(inputs), folder=out, files=out / spec.defense, seed=config.seed, batch_size=config.score_batch_size,
        scored=partial(_scored, whole, inputs, out, spec, config), fine_tuned=partial(fine_tuned, inputs, spec),
    )  # fmt: skip


def _scored(whole: Inputs, inputs: Inputs, out: Path, spec: TrainSpec, config: FlagSettings) -> tuple[Flags, float]:
    """The flags of a scan of the same data and model, or of one made now.

    Rows held out for evaluation are scored too, so that a review of the whole data set stays of use.
    """
    adopt_scan(whole, out, spec.scan)
    result = score_and_flag(whole, out, config)
    return result.flags.of([row.key for row in inputs.rows]), result.seconds


def _dataset(inputs: Inputs, plan: Plan) -> "Dataset":
    """The rows of the plan as they are learned."""
    from byorn.data.dataset import to_dataset

    return inputs.dataset if plan.rows is None else to_dataset(training_rows(plan.rows, inputs.processor))


@contextmanager
def fine_tuned(inputs: Inputs, spec: TrainSpec, folder: Path) -> Iterator[Tuned]:
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
    flags = trust_all(inputs.rows)
    trainer = build_trainer(inputs.model, inputs.processor, inputs.dataset, flags, config, spec)
    resume = last_checkpoint(folder / "checkpoints")
    say(
        f"{spec.defense}: first fine-tuning on all {len(inputs.rows)} rows"
        + (f", from {resume.name}" if resume else "")
    )
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    trainer.save_model(str(folder / "adapter"))
    return trainer.model, trainer.tally.seconds["training"]


def _check_config(out: Path, settings: Mapping[str, Any], spec: TrainSpec) -> None:
    """Refuse other settings than those of a run that has begun."""
    if _begun(out, spec):
        same_config(out, {key: value if isinstance(value, str) else asdict(value) for key, value in settings.items()})


def _begun(out: Path, spec: TrainSpec) -> bool:
    """Whether something of an earlier run in `out` would be used again."""
    finished = (out / "training.json").exists()
    return finished or any_checkpoint(out / "checkpoints") or (out / spec.defense).is_dir()
