"""From settings to TRL's and PEFT's objects: the resolved configuration, the shards, the adapter, the trainer."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from byorn.errors import ConfigError
from byorn.flagging.table import Flags
from byorn.models.lora import default_lora, describe
from byorn.models.parts import linears
from byorn.models.sharding import Layout, wanted_layout
from byorn.models.spec import LoraSpec
from byorn.pipeline.settings.defenses import SHARDABLE
from byorn.pipeline.settings.train import TrainSpec
from byorn.runs.narrate import say
from byorn.runs.ranks import current_shard

if TYPE_CHECKING:
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import PreTrainedModel, ProcessorMixin

    from byorn.training.config import ByornConfig
    from byorn.training.trainer import ByornTrainer


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
            "max_length: as a training argument it would cut responses; give it with the data, "
            "where longer rows are rejected"
        )
    defaults: dict[str, Any] = {"report_to": "none", "save_total_limit": 2, "disable_tqdm": False}
    defaults["ddp_find_unused_parameters"] = spec.lora.vision  # a batch of text alone leaves the tower out
    if not torch.cuda.is_available():
        half = bool(spec.arguments.get("bf16"))
        defaults |= {"bf16": False, "gradient_checkpointing": False, "use_cpu": current_shard().num_shards > 1 or half}
    try:
        config = ByornConfig(str(checkpoints), **{**defaults, **of_defense, **spec.arguments})
    except (ValueError, TypeError, ImportError) as error:
        raise ConfigError(f"training arguments: {' '.join(str(error).split())}") from error
    require_processes(config)
    return config


def build_layout(config: "ByornConfig", defense: str) -> Layout | None:
    """How the weights are sharded, if they are.

    Raises:
        ConfigError: The defense cannot be had so.
    """
    layout = wanted_layout(config.fsdp_plugin_args)
    if layout and defense not in SHARDABLE:
        raise ConfigError(
            f"fsdp: {defense} runs the model in each process by itself, and shards take all; use DDP (plain "
            f"torchrun), or one of {', '.join(SHARDABLE)}"
        )
    return layout


def build_lora(model: "PreTrainedModel", spec: LoraSpec) -> "LoraConfig":
    """The `LoraConfig`: on the language model, with `spec.vision` on the vision tower too, or on `spec.targets`."""
    lora: LoraConfig = default_lora(model, rank=spec.rank, alpha=spec.alpha, dropout=spec.dropout, vision=spec.vision)
    if spec.targets:
        lora.target_modules = spec.targets
    return lora


def adapter_weights(model: "PreTrainedModel", lora: "LoraConfig") -> int:
    """How many weights the adapter has: rank x (inputs + outputs) of each layer that it covers."""
    return sum(lora.r * (layer.in_features + layer.out_features) for layer in covered(model, lora).values())


def covered(model: "PreTrainedModel", lora: "LoraConfig") -> dict[str, Any]:
    """The linear layers that get LoRA, by name."""
    from peft.tuners.tuners_utils import check_target_module_exists

    every = lora.target_modules == "all-linear"
    return {name: layer for name, layer in linears(model) if every or check_target_module_exists(lora, name)}


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
    say(f"  {describe(model, str(lora.target_modules))}")
    return ByornTrainer(
        model,
        config,
        train_dataset=dataset,
        eval_dataset=held_out,
        flags=flags,
        processing_class=processor,
        peft_config=lora,
    )


def require_layers(model: "PreTrainedModel", targets: str | None) -> None:
    """Refuse targets that PEFT would refuse, before the rows are scored."""
    names = [name for name, _ in linears(model)]
    if targets and targets != "all-linear" and not any(re.fullmatch(targets, name) for name in names):
        raise ConfigError(f"lora_targets: {targets!r} matches none of the linear layers, such as {names[-1]!r}")


def require_engine_fits(model: "PreTrainedModel", config: "ByornConfig", spec: LoraSpec) -> None:
    """Refuse a model or LoRA that the trainer would refuse for its engine, before the rows are scored."""
    from byorn.training.engine.checks import require_engine_layers, wants_engine

    if wants_engine(config):
        require_engine_layers(model, covered(model, build_lora(model, spec)))
