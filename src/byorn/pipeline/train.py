"""`byorn train`: scan the data if need be, fine-tune without learning the flagged responses, export the adapter."""

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from byorn.data.fingerprint import fingerprint
from byorn.data.spec import DataSpec
from byorn.defenses import DEFENSES, Case, Plan, defense_named
from byorn.defenses.plan import Tuned, trust_all
from byorn.errors import ConfigError
from byorn.flagging.settings import FlagSettings
from byorn.flagging.table import Flags
from byorn.models.inputs import Inputs, open_inputs, read_rows, training_rows
from byorn.models.load import load_adapter, model_digest
from byorn.models.lora import default_lora, describe, idle_layers
from byorn.models.parts import linears
from byorn.models.spec import LoraSpec, ModelSpec
from byorn.pipeline.estimate import tell_training
from byorn.pipeline.reuse import adopt_scan
from byorn.pipeline.scan import score_and_flag
from byorn.pipeline.settings import TrainSpec
from byorn.runs.folder import make_folder, same_config, write_config, write_environment, write_json
from byorn.runs.narrate import say, seconds
from byorn.runs.ranks import current_shard, is_main

if TYPE_CHECKING:
    from datasets import Dataset
    from peft import PeftModel
    from transformers import PreTrainedModel, ProcessorMixin

    from byorn.training.config import ByornConfig
    from byorn.training.trainer import ByornTrainer

__all__ = ["DEFENSES", "TrainSpec", "train"]

EVALUATING = ("eval_strategy", "eval_steps", "eval_on_start", "do_eval", "per_device_eval_batch_size", "eval_delay")
"""Training arguments that mean nothing without evaluation rows."""


def train(data: DataSpec, model: ModelSpec, out: Path, spec: TrainSpec) -> dict[str, Any] | None:
    """Fine-tune into `out`: the files of the defense (those of a scan, for byorn), `checkpoints/`, `adapter/`
    (safetensors only, with a model card) and `training.json`.

    A run that was killed goes on from its last checkpoint when the same call is made again. With `spec.dry_run` everything is checked and
    said, nothing is trained, and None comes back.

    Raises:
        ByornError: Data, model or configuration cannot be used, or `out` belongs to another run.
    """
    from byorn.training.card import write_card

    defend = defense_named(spec.defense, spec.defense_options)
    spec = _with_evaluation(spec)
    config = build_config(spec, out / "checkpoints")
    make_folder(out)
    settings = {"command": "train", "data": data, "model": model, "train": spec}
    if not spec.dry_run:
        if is_main():  # the others would read the file while the first one writes it
            _check_config(out, settings, spec)
        write_config(out, {**settings, "resolved": config.to_dict()})
    inputs, held_out = _inputs(data, model, out, spec, config.seed)
    _require_layers(inputs.model, spec.lora.targets)
    lora = build_lora(inputs.model, spec.lora)
    if spec.dry_run:
        tell_training(
            inputs,
            config,
            adapter_weights(inputs.model, lora),
            samples=spec.defense.startswith("byorn") and spec.defense != "byorn-f",
        )
        return None
    case = _case(inputs, out, spec, config)
    plan = defend(case)
    if plan.flags.reviews.any:
        say(f"  {plan.flags.reviews}", **asdict(plan.flags.reviews))
    config = build_config(spec, out / "checkpoints", plan.arguments)
    write_config(out, {**settings, "resolved": config.to_dict()})
    trainer = build_trainer(case.model, case.processor, _dataset(case, plan), plan.flags, config, spec, held_out)
    plan.prepare(trainer)
    began = time.perf_counter()
    resume = _last_checkpoint(out / "checkpoints")
    say(
        f"training on {len(trainer.train_dataset)} rows, {int(trainer.flagged.sum())} with replaced responses"
        + (f", from {resume.name}" if resume else "")
    )
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    if idle := idle_layers(trainer.model):
        say(
            f"  warning: no gradient reached the LoRA of {len(idle)} layer(s), it changes nothing there; first: {idle[0]}"
        )
    summary = summarize(trainer, plan, time.perf_counter() - began, rows=len(case.rows), spec=spec)
    if trainer.is_world_process_zero():
        trainer.save_model(str(out / "adapter"))
        write_json(out / "training.json", {**summary, "log": trainer.state.log_history})
        write_environment(out, model=model.name, model_digest=model_digest(trainer.model), seed=config.seed)
        write_card(out / "adapter", summary, model.name, data.source)
        say(
            f"trained in {seconds(summary['seconds']['training'])}, of which sampling {seconds(summary['seconds']['sampling'])}; adapter in {out / 'adapter'}"
        )
    return summary


def _with_evaluation(spec: TrainSpec) -> TrainSpec:
    """The spec, without arguments that mean nothing where there are no evaluation rows."""
    if spec.eval_data and spec.val_size:
        raise ConfigError("eval_data: val_size is given too; keep one of them")
    asked = [name for name in EVALUATING if spec.arguments.get(name) not in (None, False, "no")]
    if spec.eval_data or spec.val_size:
        return replace(spec, arguments={"eval_strategy": "epoch", **spec.arguments})
    for name in asked:
        say(f"{name} is ignored: there are no evaluation rows; give --eval-data, or hold some out with --val-size")
    return replace(spec, arguments={name: value for name, value in spec.arguments.items() if name not in EVALUATING})


def _inputs(data: DataSpec, model: ModelSpec, out: Path, spec: TrainSpec, seed: int) -> "tuple[Inputs, Dataset | None]":
    """What is trained on, and the evaluation rows: read from a file, held out, or none."""
    from byorn.data.dataset import to_dataset

    inputs = open_inputs(data, model, out)
    if spec.eval_data:
        rows = read_rows(replace(data, source=spec.eval_data, limit=None), inputs.processor, out).rows
        return inputs, to_dataset(training_rows(rows, inputs.processor))
    return hold_out(inputs, spec.val_size, seed) if spec.val_size else (inputs, None)


def hold_out(inputs: Inputs, size: float, seed: int) -> "tuple[Inputs, Dataset]":
    """The inputs without a random part of their rows, and that part; `size` is a number of rows, or a share below 1.

    Raises:
        ConfigError: No row would be left to train on, or none to evaluate on.
    """
    import numpy as np

    count = round(size * len(inputs.rows)) if size < 1 else round(size)
    if not 0 < count < len(inputs.rows):
        raise ConfigError(
            f"val_size: {size:g} of {len(inputs.rows)} rows leaves none on one side; use a share such as 0.05"
        )
    order = np.random.default_rng(seed).permutation(len(inputs.rows))
    held, kept = sorted(order[:count].tolist()), sorted(order[count:].tolist())
    rows = [inputs.rows[index] for index in kept]
    say(f"  {count} rows are held out for evaluation")
    identity = {**inputs.identity, "data": fingerprint(rows)}
    return replace(inputs, rows=rows, dataset=inputs.dataset.select(kept), identity=identity), inputs.dataset.select(
        held
    )


def build_config(spec: TrainSpec, checkpoints: Path, of_defense: Mapping[str, Any] = {}) -> "ByornConfig":
    """The resolved `ByornConfig`; `of_defense` gives way to what the user says.

    Raises:
        ConfigError: A field is unknown or out of range.
    """
    import torch

    from byorn.training.config import ByornConfig, check_arguments
    from byorn.training.processes import require_processes

    check_arguments(spec.arguments)
    if spec.arguments.get("max_length") is not None:
        raise ConfigError(
            "max_length: as a training argument it would cut responses; give it with the data, where longer rows are rejected"
        )
    defaults: dict[str, Any] = {"report_to": "none", "save_total_limit": 2, "disable_tqdm": False}
    defaults["ddp_find_unused_parameters"] = spec.lora.vision  # a batch of text alone leaves the tower out
    if not torch.cuda.is_available():
        half = bool(spec.arguments.get("bf16"))
        defaults |= {"bf16": False, "gradient_checkpointing": False, "use_cpu": current_shard().num_shards > 1 or half}
    try:
        config = ByornConfig(str(checkpoints), **{**defaults, **of_defense, **spec.arguments})
    except (ValueError, TypeError, ImportError) as error:
        raise ConfigError(f"training arguments: {str(error).splitlines()[0]}") from error
    require_processes(config)
    return config


def build_lora(model: "PreTrainedModel", spec: LoraSpec) -> Any:
    """The `LoraConfig`: on the language model, with `spec.vision` on the vision tower too, or on `spec.targets`."""
    lora = default_lora(model, rank=spec.rank, alpha=spec.alpha, dropout=spec.dropout, vision=spec.vision)
    if spec.targets:
        lora.target_modules = spec.targets
    return lora


def adapter_weights(model: "PreTrainedModel", lora: Any) -> int:
    """How many weights the adapter has: rank x (inputs + outputs) of each layer that it covers."""
    pattern = ".*" if lora.target_modules == "all-linear" else lora.target_modules
    covered = [layer for name, layer in linears(model) if re.fullmatch(pattern, name)]
    return sum(lora.r * (layer.in_features + layer.out_features) for layer in covered)


def build_trainer(
    model: "PreTrainedModel",
    processor: "ProcessorMixin",
    dataset: "Dataset",
    flags: Flags,
    config: "ByornConfig",
    spec: TrainSpec,
    held_out: "Dataset | None" = None,
) -> "ByornTrainer":
    """A `ByornTrainer` with the adapter that `spec.lora` says."""
    from byorn.training.trainer import ByornTrainer

    lora = build_lora(model, spec.lora)
    say(f"  {describe(model, lora.target_modules)}")
    return ByornTrainer(
        model,
        config,
        train_dataset=dataset,
        eval_dataset=held_out,
        flags=flags,
        processing_class=processor,
        peft_config=lora,
    )


def _require_layers(model: "PreTrainedModel", targets: str | None) -> None:
    """Refuse targets that PEFT would refuse, before the rows are scored."""
    names = [name for name, _ in linears(model)]
    if targets and targets != "all-linear" and not any(re.fullmatch(targets, name) for name in names):
        raise ConfigError(f"lora_targets: {targets!r} matches none of the linear layers, such as {names[-1]!r}")


def _case(inputs: Inputs, out: Path, spec: TrainSpec, config: "ByornConfig") -> Case:
    """What the defense is given."""
    return Case(
        **vars(inputs), folder=out, files=out / spec.defense, seed=config.seed, batch_size=config.score_batch_size,
        scored=partial(_scored, inputs, out, spec, config), fine_tuned=partial(fine_tuned, inputs, spec),
    )  # fmt: skip


def _scored(inputs: Inputs, out: Path, spec: TrainSpec, config: FlagSettings) -> tuple[Flags, float]:
    """The flags of a scan of the same data and model, or of one made now."""
    adopt_scan(inputs, out, spec.scan)
    result = score_and_flag(inputs, out, config)
    return result.flags, result.seconds


def _dataset(case: Case, plan: Plan) -> "Dataset":
    """The rows of the plan as they are learned."""
    from byorn.data.dataset import to_dataset

    return case.dataset if plan.rows is None else to_dataset(training_rows(plan.rows, case.processor))


@contextmanager
def fine_tuned(inputs: Inputs, spec: TrainSpec, folder: Path) -> Iterator[Tuned]:
    """The model after plain fine-tuning on all rows, see `Case`; `folder` gets `checkpoints/`, `adapter/` and
    `tuned.json`, which says that the adapter is whole.
    """
    done = folder / "tuned.json"
    if done.exists():
        say(f"using the adapter in {folder / 'adapter'}")
        model = load_adapter(inputs.model, folder / "adapter")
        spent = float(json.loads(done.read_text(encoding="utf-8"))["seconds"])
    else:
        model, spent = _fine_tune(inputs, spec, folder)
        write_json(done, {"seconds": spent})
    try:
        yield Tuned(model.eval(), spent)
    finally:
        model.unload()


def _fine_tune(inputs: Inputs, spec: TrainSpec, folder: Path) -> "tuple[PeftModel, float]":
    began, config = time.perf_counter(), build_config(spec, folder / "checkpoints")
    flags = trust_all(inputs.rows)
    trainer = build_trainer(inputs.model, inputs.processor, inputs.dataset, flags, config, spec)
    resume = _last_checkpoint(folder / "checkpoints")
    say(
        f"{spec.defense}: first fine-tuning on all {len(inputs.rows)} rows"
        + (f", from {resume.name}" if resume else "")
    )
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    trainer.save_model(str(folder / "adapter"))
    return trainer.model, time.perf_counter() - began


def summarize(trainer: "ByornTrainer", plan: Plan, total: float, **facts: Any) -> dict[str, Any]:
    """What really ran, for `training.json` and the model card."""
    from byorn.training.card import REPORTED, of_all_processes

    sampling = trainer.seconds["sampling"]
    spec = facts.pop("spec")
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return {
        "defense": spec.defense,
        **facts,
        "flagged": int(plan.flags.replaced.sum()),
        "rule": plan.flags.rule,
        "reviews": asdict(plan.flags.reviews),
        "learned": len(trainer.train_dataset),
        "steps": trainer.state.global_step,
        "epochs": trainer.state.epoch,
        "final_loss": losses[-1] if losses else None,
        "responses": of_all_processes(trainer.counts),
        "seconds": {
            "scoring": plan.cost.seconds,
            "sampling": sampling,
            "training": total,
            "training_without_sampling": total - sampling,
        },
        "cost": asdict(plan.cost),
        "found": dict(plan.found),
        "arguments": {name: getattr(trainer.args, name) for name in REPORTED},
    }


def _check_config(out: Path, settings: dict[str, Any], spec: TrainSpec) -> None:
    """Refuse other settings where something of an earlier run would be used again."""
    if _last_checkpoint(out / "checkpoints") or (out / spec.defense).is_dir():
        same_config(out, {key: value if isinstance(value, str) else asdict(value) for key, value in settings.items()})


def _last_checkpoint(folder: Path) -> Path | None:
    found = [path for path in folder.glob("checkpoint-*") if (path / "trainer_state.json").is_file()]
    return max(found, key=lambda path: int(path.name.rpartition("-")[2]), default=None)
