"""Training beside sharded weights: byorn shards the frozen ones (`byorn.models.sharding`), and the adapters are trained
whole in every process.

Accelerate is told of processes without FSDP: it would shard the adapters too, whose average its checkpoints leave out.
What DDP does for adapters is done here instead, since DDP takes no model with sharded weights:

    g = (1 / n) * sum_r g_r    once an optimizer step, over the n processes, as one vector
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch.distributed.tensor import DTensor

from byorn.errors import ConfigError
from byorn.models.sharding import Layout, shard, wanted_layout
from byorn.training.processes import settle_processes

if TYPE_CHECKING:
    from torch import nn

    from byorn.training.config import ByornConfig
    from byorn.training.trainer import ByornTrainer

SWITCH = "ACCELERATE_USE_FSDP"


@contextmanager
def own_sharding(trainer: "ByornTrainer", args: "ByornConfig") -> Iterator[None]:
    """Inside, SFTTrainer sets up a trainer; afterwards the weights of its model are sharded, if that is wanted.

    Raises:
        ConfigError: They cannot be sharded so, or some of them would be trained; or see `settle_processes`.
    """
    settle_processes(args)
    layout = wanted_layout(args.fsdp_plugin_args)
    if layout is None:
        yield
        return
    own: Any = trainer
    own._move_model_to_device = lambda model, device: None  # the whole model may be too large for it
    with _hidden_from_accelerate(args):
        yield
    del own._move_model_to_device
    trainer.place_model_on_device = False
    _share(trainer, layout)


@contextmanager
def _hidden_from_accelerate(args: "ByornConfig") -> Iterator[None]:
    """The user's settings of FSDP, put aside."""
    switch = os.environ.pop(SWITCH, None)
    fsdp, arguments = args.fsdp, args.fsdp_plugin_args
    args.fsdp = args.fsdp_plugin_args = None
    try:
        yield
    finally:
        args.fsdp, args.fsdp_plugin_args = fsdp, arguments
        if switch is not None:
            os.environ[SWITCH] = switch


def _share(trainer: "ByornTrainer", layout: Layout) -> None:
    """Shard the weights of the model, and have its adapters trained by all processes."""
    shard(trainer.model, layout)
    if any(isinstance(weight.data, DTensor) for weight in trainer.model.parameters() if weight.requires_grad):
        raise ConfigError("fsdp: only adapters are trained beside sharded weights; leave modules_to_save out")
    accelerator: Any = trainer.accelerator
    accelerator.prepare_model = partial(_prepared, accelerator.prepare_model)
    accelerator.backward = partial(_backward, trainer, accelerator.backward)


def _prepared(
    prepare: Callable[..., "nn.Module"],
    model: "nn.Module",
    device_placement: bool | None = None,
    evaluation_mode: bool = False,
) -> "nn.Module":
    """The model as Accelerate prepares it for evaluation: in its number type, and not under DDP. All processes begin
    with the adapters of the first.
    """
    for weight in model.parameters():
        if not isinstance(weight.data, DTensor):
            dist.broadcast(weight.data, src=0)
    return prepare(model, device_placement=False, evaluation_mode=True)


def _backward(trainer: "ByornTrainer", backward: Callable[..., None], loss: torch.Tensor, **options: Any) -> None:
    """A backward pass; the last one of an optimizer step takes the mean of the gradients."""
    backward(loss, **options)
    if trainer.accelerator.sync_gradients:
        average_gradients([weight for weight in trainer.model.parameters() if weight.requires_grad])


@torch.no_grad()
def average_gradients(weights: "list[nn.Parameter]") -> None:
    """Give every process the mean of all gradients, in float32; one that nobody has stays None, as under DDP."""
    used = torch.tensor([float(weight.grad is not None) for weight in weights], device=weights[0].device)
    parts = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in weights]
    flat = torch.cat([used, *(part.flatten().float() for part in parts)]) / dist.get_world_size()
    dist.all_reduce(flat)
    anywhere, *means = torch.split(flat, [len(weights), *(weight.numel() for weight in weights)])
    for weight, mean, someone in zip(weights, means, anywhere.tolist(), strict=True):
        if someone:
            weight.grad = mean.view_as(weight).to(weight.dtype)
