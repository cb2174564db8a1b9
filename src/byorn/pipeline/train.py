"""`byorn train`: scan the data if need be, fine-tune without learning the flagged responses, export the adapter."""

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from byorn.defenses import DEFENSES, Case, Plan, defense_named
from byorn.defenses.plan import Tuned, trust_all
from byorn.errors import ConfigError
from byorn.flagging.table import Flags
from byorn.models.inputs import DataSpec, Inputs, ModelSpec, open_inputs, training_rows
from byorn.models.load import load_adapter, model_digest
from byorn.models.lora import default_lora, describe, idle_layers
from byorn.models.parts import linears
from byorn.runs.folder import same_config, write_config, write_environment, write_json
from byorn.runs.narrate import say, seconds
from byorn.runs.ranks import is_main, share

__all__ = ["DEFENSES", "TrainSpec", "train"]


@dataclass(frozen=True)
class TrainSpec:
    """How to fine-tune; `arguments` are fields of `ByornConfig` (and so of TRL's SFTConfig and transformers'
    TrainingArguments), `defense_options` the options of the defense, a key of `byorn.defenses.DEFENSES`.
    """

    defense: str = "byorn"
    percentile: float = 0.6
    score_batch_size: int = 8
    lora_rank: int = 16
    lora_alpha: int | None = None
    lora_dropout: float = 0.0
    lora_targets: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    defense_options: Mapping[str, Any] = field(default_factory=dict)
    lora_vision: bool = False


def train(data: DataSpec, model: ModelSpec, out: Path, spec: TrainSpec) -> dict[str, Any]:
    """Fine-tune into `out`: the files of the defense (those of a scan, for byorn), `checkpoints/`, `adapter/`
    (safetensors only, with a model card) and `training.json`.

    A run that was killed goes on from its last checkpoint when the same call is made again.

    Raises:
        ByornError: Data, model or configuration cannot be used, or `out` belongs to another run.
    """
    from byorn.training.card import write_card

    defend = defense_named(spec.defense, spec.defense_options)
    out.mkdir(parents=True, exist_ok=True)
    config = build_config(spec, out / "checkpoints")
    settings = {"command": "train", "data": data, "model": model, "train": spec}
    if is_main():  # the others would read the file while the first one writes it
        _check_config(out, settings, spec)
    write_config(out, {**settings, "resolved": config.to_dict()})
    case = _case(open_inputs(data, model, out), out, spec, config.seed)
    _require_layers(case.model, spec.lora_targets)
    plan = defend(case)
    config = build_config(spec, out / "checkpoints", plan.arguments)
    write_config(out, {**settings, "resolved": config.to_dict()})
    trainer = build_trainer(case.model, case.processor, _dataset(case, plan), plan.flags, config, spec)
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


def build_config(spec: TrainSpec, checkpoints: Path, of_defense: Mapping[str, Any] = {}) -> Any:
    """The resolved `ByornConfig`; `of_defense` gives way to what the user says.

    Raises:
        ConfigError: A field is unknown or out of range.
    """
    import torch

    from byorn.training.config import ByornConfig
    from byorn.training.processes import require_processes

    known = set(ByornConfig.__dataclass_fields__)
    unknown = [name for name in spec.arguments if name not in known]
    if unknown:
        import difflib

        close = difflib.get_close_matches(unknown[0], known, n=1)
        raise ConfigError(
            f"{unknown[0]}: no such training argument"
            + (f"; did you mean {close[0]}?" if close else "; see the fields of SFTConfig")
        )
    defaults: dict[str, Any] = {"report_to": "none", "save_total_limit": 2}
    defaults["ddp_find_unused_parameters"] = spec.lora_vision  # a batch of text alone leaves the tower out
    if not torch.cuda.is_available():
        defaults |= {"bf16": False, "gradient_checkpointing": False, "use_cpu": share().of > 1}
    try:
        config = ByornConfig(
            str(checkpoints), **{**defaults, "percentile": spec.percentile, **of_defense, **spec.arguments}
        )
    except (ValueError, TypeError, ImportError) as error:
        raise ConfigError(f"training arguments: {str(error).splitlines()[0]}") from error
    require_processes(config)
    return config


def build_trainer(model: Any, processor: Any, dataset: Any, flags: Flags, config: Any, spec: TrainSpec) -> Any:
    """A `ByornTrainer` with LoRA on the language model, with `spec.lora_vision` on the vision tower too, or on
    `spec.lora_targets` (a regular expression).
    """
    from byorn.training.trainer import ByornTrainer

    lora = default_lora(
        model, rank=spec.lora_rank, alpha=spec.lora_alpha, dropout=spec.lora_dropout, vision=spec.lora_vision
    )
    if spec.lora_targets:
        lora.target_modules = spec.lora_targets
    say(f"  {describe(model, lora.target_modules)}")
    return ByornTrainer(model, config, train_dataset=dataset, flags=flags, processing_class=processor, peft_config=lora)


def _require_layers(model: Any, targets: str | None) -> None:
    """Refuse targets that PEFT would refuse, before the rows are scored."""
    names = [name for name, _ in linears(model)]
    if targets and targets != "all-linear" and not any(re.fullmatch(targets, name) for name in names):
        raise ConfigError(f"lora_targets: {targets!r} matches none of the linear layers, such as {names[-1]!r}")


def _case(inputs: Inputs, out: Path, spec: TrainSpec, seed: int) -> Case:
    """What the defense is given."""
    return Case(
        **vars(inputs), folder=out, files=out / spec.defense, seed=seed, percentile=spec.percentile,
        batch_size=spec.score_batch_size, fine_tuned=partial(fine_tuned, inputs, spec),
    )  # fmt: skip


def _dataset(case: Case, plan: Plan) -> Any:
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


def _fine_tune(inputs: Inputs, spec: TrainSpec, folder: Path) -> tuple[Any, float]:
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


def summarize(trainer: Any, plan: Plan, total: float, **facts: Any) -> dict[str, Any]:
    """What really ran, for `training.json` and the model card."""
    sampling = trainer.seconds["sampling"]
    spec = facts.pop("spec")
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return {
        "defense": spec.defense,
        **facts,
        "flagged": int(plan.flags.replaced.sum()),
        "learned": len(trainer.train_dataset),
        "steps": trainer.state.global_step,
        "epochs": trainer.state.epoch,
        "final_loss": losses[-1] if losses else None,
        "responses": _of_all_processes(trainer.counts),
        "seconds": {
            "scoring": plan.cost.seconds,
            "sampling": sampling,
            "training": total,
            "training_without_sampling": total - sampling,
        },
        "cost": asdict(plan.cost),
        "found": dict(plan.found),
        "arguments": {name: getattr(trainer.args, name) for name in _REPORTED},
    }


def _of_all_processes(counts: dict[str, int]) -> dict[str, int]:
    from accelerate.utils import gather_object

    each = gather_object([counts])
    return {name: sum(one[name] for one in each) for name in counts}


_REPORTED = (
    "percentile", "replacement", "soft_targets", "ema_decay", "response_temperature", "response_top_p", "max_response_tokens", "learning_rate",
    "num_train_epochs", "max_steps", "per_device_train_batch_size", "gradient_accumulation_steps", "world_size", "seed", "bf16",
)  # fmt: skip


def _check_config(out: Path, settings: dict[str, Any], spec: TrainSpec) -> None:
    """Refuse other settings where something of an earlier run would be used again."""
    if _last_checkpoint(out / "checkpoints") or (out / spec.defense).is_dir():
        same_config(out, {key: value if isinstance(value, str) else asdict(value) for key, value in settings.items()})


def _last_checkpoint(folder: Path) -> Path | None:
    found = [path for path in folder.glob("checkpoint-*") if (path / "trainer_state.json").is_file()]
    return max(found, key=lambda path: int(path.name.rpartition("-")[2]), default=None)
