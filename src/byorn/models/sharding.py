"""Pretrained weights that are sharded over processes (FSDP2): each holds its part, and a whole layer only while it
computes with it.

Whether and how is what the user tells Accelerate: by `accelerate launch`, its environment variables, or the `fsdp`
and `fsdp_config` of training arguments. What is sharded is what is large, the frozen weights. Adapters stay whole in
every process, as under DDP: their average, their checkpoints and their export do not know of the shards.

All processes gather a layer at once, so all must run the model equally often. `most` and `agreed` are for that, and
`Alike` in `byorn.scoring.alike`.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from byorn.errors import ConfigError
from byorn.models.digest import remember_digest
from byorn.models.group import told
from byorn.models.parts import inside, language_prefix, without_adapter
from byorn.runs.ranks import current_shard

if TYPE_CHECKING:
    from accelerate import FullyShardedDataParallelPlugin
    from torch import nn

MANAGED = "_is_fsdp_managed_module"
"""transformers' mark, by which `generate` lets no process stop before the others."""


@dataclass(frozen=True)
class Layout:
    """How weights are sharded.

    Attributes:
        layers: Class names of the modules that are gathered one at a time; empty for the layers of the language model.
            The rest, vision tower and embeddings among it, is gathered once a step.
        reshard: Whether a layer is let go of after the forward pass, and gathered again for the backward pass.
    """

    layers: frozenset[str] = frozenset()
    reshard: bool = True


def wanted_layout(arguments: Mapping[str, Any] | None = None) -> Layout | None:
    """What the user has asked Accelerate for; None if it is no sharding, or if there is one process.

    Args:
        arguments: `TrainingArguments.fsdp_plugin_args`; without them the environment counts.

    Raises:
        ConfigError: It is a kind of sharding that byorn does not do.
    """
    if not arguments and os.environ.get("ACCELERATE_USE_FSDP", "").lower() != "true":
        return None
    if current_shard().num_shards == 1:
        return None
    arguments = arguments or {"fsdp_version": int(os.environ.get("FSDP_VERSION", "1"))}
    if arguments["fsdp_version"] != 2:
        raise ConfigError("fsdp: version 1 has no adapters beside sharded weights; set fsdp_version: 2")
    from accelerate import FullyShardedDataParallelPlugin

    try:
        plugin = FullyShardedDataParallelPlugin(**arguments)
    except ValueError as error:
        raise ConfigError(f"fsdp: {error}") from error
    _require_supported(plugin)
    return Layout(frozenset(plugin.transformer_cls_names_to_wrap or ()), bool(plugin.reshard_after_forward))


def _require_supported(plugin: "FullyShardedDataParallelPlugin") -> None:
    from torch.distributed.fsdp import CPUOffloadPolicy

    offloaded = isinstance(plugin.cpu_offload, CPUOffloadPolicy)
    refused = {
        "cpu_offload: byorn keeps the shards on the GPUs; leave it out": offloaded,
        "activation_checkpointing: leave it out, and use gradient_checkpointing": plugin.activation_checkpointing,
        "cpu_ram_efficient_loading: every process loads the model; set it to false": plugin.cpu_ram_efficient_loading,
        "auto_wrap_policy: use TRANSFORMER_BASED_WRAP": plugin.min_num_params,
    }
    for message, value in refused.items():
        if value:
            raise ConfigError(f"fsdp: {message}")


def shard(model: Any, layout: Layout) -> None:
    """Shard the pretrained weights of a model, or of a PEFT model, in place; its adapters are left whole. It lies on
    the CPU before, and each process keeps its part on its device.

    Raises:
        ConfigError: The weights are quantized, or there are no such layers.
    """
    import torch
    from accelerate import PartialState
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    base = without_adapter(model)
    if is_sharded(base):
        return
    if getattr(base, "is_quantized", False):
        raise ConfigError("fsdp: quantized weights are not sharded; leave quantize out, or use DDP (plain torchrun)")
    state = PartialState(cpu=not torch.cuda.is_available())
    remember_digest(base)
    whole = _kept_whole(model)
    mesh = init_device_mesh(state.device.type, (state.num_processes,))
    for layer in _layers(base, layout.layers):
        fully_shard(layer, mesh=mesh, reshard_after_forward=layout.reshard, ignored_params=whole)
    fully_shard(base, mesh=mesh, ignored_params=whole)
    for parameter in whole:
        parameter.data = parameter.data.to(state.device)
    register_fsdp_forward_method(base, "generate")  # it encodes images before its first forward pass
    setattr(base, MANAGED, True)


def _kept_whole(model: Any) -> "set[nn.Parameter]":
    """The adapters, and single numbers, which cannot be divided; everything else is frozen."""
    named = list(model.named_parameters())
    adapted = hasattr(model, "peft_config")
    whole = {
        parameter
        for name, parameter in named
        if ".lora_" in name or (adapted and parameter.requires_grad) or not parameter.dim()
    }
    for _, parameter in named:
        if not adapted or parameter not in whole:
            parameter.requires_grad_(False)
    return whole


def _layers(base: "nn.Module", names: frozenset[str]) -> "list[nn.Module]":
    """The modules of the classes; without names those that transformers never splits, in the language model: a tower
    that a text alone leaves out would be waited for by the others.
    """
    chosen = names or frozenset(getattr(base, "_no_split_modules", None) or ())
    where = "" if names else language_prefix(base)
    found = [
        module
        for name, module in base.named_modules()
        if type(module).__name__ in chosen and (not where or inside(where, name))
    ]
    if not found:
        raise ConfigError(
            f"fsdp: no layer of class {' or '.join(sorted(chosen)) or '?'} in the model; name the class of its layers "
            "as transformer_cls_to_wrap"
        )
    return found


def is_sharded(model: Any) -> bool:
    """Whether the pretrained weights of the model are sharded."""
    return bool(getattr(without_adapter(model), MANAGED, False))


def resharded(model: Any) -> Any:
    """The model with no layer gathered: what one process then does with its weights, the others need not do."""
    if is_sharded(model):
        from torch.distributed.fsdp import FSDPModule

        for module in model.modules():
            if isinstance(module, FSDPModule):
                module.reshard()
    return model


def most(model: Any, count: int) -> int:
    """The largest `count` of all processes that share the weights of the model; of any other model, `count` itself."""
    return int(_reduced(count)) if is_sharded(model) else count


def _reduced(value: int) -> int:
    import torch
    from accelerate import PartialState

    found = torch.tensor(value, device=PartialState().device)
    torch.distributed.all_reduce(found, op=torch.distributed.ReduceOp.MAX)
    return int(found)


def agreed(model: Any, value: float) -> float:
    """The `value` of the first process, where processes share the weights of the model; else `value` itself."""
    return told(value) if is_sharded(model) else value
