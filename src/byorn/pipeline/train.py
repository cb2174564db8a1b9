"""`byorn train`: scan the data if need be, fine-tune without learning the flagged responses, export the adapter."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from byorn.errors import ConfigError
from byorn.flagging.table import Flags
from byorn.models.length import context_length
from byorn.models.load import model_digest
from byorn.models.lora import default_lora
from byorn.pipeline.folder import same_config, write_config, write_environment, write_json
from byorn.pipeline.inputs import DataSpec, ModelSpec, read_rows, training_rows
from byorn.pipeline.narrate import say, seconds
from byorn.pipeline.scan import scan

DEFENSES = ("byorn", "byorn-f", "sft")


@dataclass(frozen=True)
class TrainSpec:
    """How to fine-tune; `arguments` are fields of `ByornConfig` (and so of TRL's SFTConfig and transformers'
    TrainingArguments).
    """

    defense: str = "byorn"
    percentile: float = 0.6
    score_batch_size: int = 8
    lora_rank: int = 16
    lora_alpha: int | None = None
    lora_dropout: float = 0.0
    lora_targets: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)


def train(data: DataSpec, model: ModelSpec, out: Path, spec: TrainSpec) -> dict[str, Any]:
    """Fine-tune into `out`: the files of a scan, `checkpoints/`, `adapter/` (safetensors only, with a model card) and
    `training.json`.

    A run that was killed goes on from its last checkpoint when the same call is made again.

    Raises:
        ByornError: Data, model or configuration cannot be used, or `out` belongs to another run.
    """
    from byorn.training.card import write_card

    if spec.defense not in DEFENSES:
        raise ConfigError(f"defense: {spec.defense!r} is unknown; use one of {', '.join(DEFENSES)}")
    out.mkdir(parents=True, exist_ok=True)
    config = build_config(spec, out / "checkpoints")
    settings = {"command": "train", "data": data, "model": model, "train": spec}
    _check_config(out, settings)
    rows, dataset, flags, loaded, processor, scoring = _prepare(data, model, out, spec)
    write_config(out, {**settings, "resolved": config.to_dict()})
    trainer = build_trainer(loaded, processor, dataset, flags, config, spec)
    began = time.perf_counter()
    resume = _last_checkpoint(out / "checkpoints")
    say(
        f"training on {len(trainer.train_dataset)} rows, {int(trainer.flagged.sum())} with replaced responses"
        + (f", from {resume.name}" if resume else "")
    )
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    summary = summarise(
        trainer, scoring, time.perf_counter() - began, rows=len(rows), flagged=int(flags.replaced.sum()), spec=spec
    )
    if trainer.is_world_process_zero():
        trainer.save_model(str(out / "adapter"))
        write_json(out / "training.json", {**summary, "log": trainer.state.log_history})
        write_environment(out, model=model.name, model_digest=model_digest(trainer.model), seed=config.seed)
        write_card(out / "adapter", summary, model.name, data.source)
        say(
            f"trained in {seconds(summary['seconds']['training'])}, of which sampling {seconds(summary['seconds']['sampling'])}; adapter in {out / 'adapter'}"
        )
    return summary


def build_config(spec: TrainSpec, checkpoints: Path) -> Any:
    """The resolved `ByornConfig`.

    Raises:
        ConfigError: A field is unknown or out of range.
    """
    import torch

    from byorn.training.config import ByornConfig

    known = set(ByornConfig.__dataclass_fields__)
    unknown = [name for name in spec.arguments if name not in known]
    if unknown:
        import difflib

        close = difflib.get_close_matches(unknown[0], known, n=1)
        raise ConfigError(
            f"{unknown[0]}: no such training argument"
            + (f"; did you mean {close[0]}?" if close else "; see the fields of SFTConfig")
        )
    defaults: dict[str, Any] = {"report_to": "none", "save_total_limit": 2, "ddp_find_unused_parameters": False}
    if not torch.cuda.is_available():
        defaults |= {"bf16": False, "gradient_checkpointing": False}
    replacement = "drop" if spec.defense == "byorn-f" else "ema"
    try:
        return ByornConfig(
            str(checkpoints),
            **{**defaults, "percentile": spec.percentile, "replacement": replacement, **spec.arguments},
        )
    except (ValueError, TypeError) as error:
        raise ConfigError(f"training arguments: {str(error).splitlines()[0]}") from error


def build_trainer(model: Any, processor: Any, dataset: Any, flags: Flags, config: Any, spec: TrainSpec) -> Any:
    """A `ByornTrainer` with LoRA on the language model, or on `spec.lora_targets` (a regular expression)."""
    from byorn.training.trainer import ByornTrainer

    lora = default_lora(model, rank=spec.lora_rank, alpha=spec.lora_alpha, dropout=spec.lora_dropout)
    if spec.lora_targets:
        lora.target_modules = spec.lora_targets
    return ByornTrainer(model, config, train_dataset=dataset, flags=flags, processing_class=processor, peft_config=lora)


def _prepare(data: DataSpec, model: ModelSpec, out: Path, spec: TrainSpec) -> tuple[Any, Any, Flags, Any, Any, float]:
    """Rows, data set, flags, model, processor and the seconds that scoring took (none for plain fine-tuning)."""
    from byorn.data.dataset import to_dataset

    if spec.defense != "sft":
        result = scan(data, model, out, percentile=spec.percentile, batch_size=spec.score_batch_size)
        return result.rows, result.dataset, result.flags, result.model, result.processor, result.seconds
    say(f"reading {data.source}")
    processor, loaded = model.processor(), model.model()
    rows = read_rows(data, processor, out, context_length(loaded.config)).rows
    return rows, to_dataset(training_rows(rows, processor)), no_flags(rows), loaded, processor, 0.0


def no_flags(rows: Any) -> Flags:
    """Flags that trust every row: plain supervised fine-tuning."""
    count = len(rows)
    return Flags(
        [row.id for row in rows],
        [row.turn for row in rows],
        np.zeros(count, bool),
        np.zeros(count),
        "none",
        float("inf"),
        [None] * count,
    )


def summarise(trainer: Any, scoring: float, total: float, **facts: Any) -> dict[str, Any]:
    """What really ran, for `training.json` and the model card."""
    sampling = trainer.seconds["sampling"]
    spec = facts.pop("spec")
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return {
        "defense": spec.defense,
        **facts,
        "steps": trainer.state.global_step,
        "epochs": trainer.state.epoch,
        "final_loss": losses[-1] if losses else None,
        "responses": dict(trainer.counts),
        "seconds": {
            "scoring": scoring,
            "sampling": sampling,
            "training": total,
            "training_without_sampling": total - sampling,
        },
        "arguments": {name: getattr(trainer.args, name) for name in _REPORTED},
    }


_REPORTED = (
    "percentile", "replacement", "ema_decay", "response_temperature", "response_top_p", "max_response_tokens", "learning_rate", "num_train_epochs",
    "max_steps", "per_device_train_batch_size", "gradient_accumulation_steps", "world_size", "seed", "bf16",
)  # fmt: skip


def _check_config(out: Path, settings: dict[str, Any]) -> None:
    if _last_checkpoint(out / "checkpoints"):
        from dataclasses import asdict

        same_config(out, {key: value if isinstance(value, str) else asdict(value) for key, value in settings.items()})


def _last_checkpoint(folder: Path) -> Path | None:
    found = [path for path in folder.glob("checkpoint-*") if (path / "trainer_state.json").is_file()]
    return max(found, key=lambda path: int(path.name.rpartition("-")[2]), default=None)
