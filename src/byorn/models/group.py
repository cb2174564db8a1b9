"""The group of processes, in which they tell each other what they have found. Training is in one, and so are those who
share weights; a scan, which meets in files otherwise, joins one where all of its processes are on one machine.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from byorn.errors import ByornError
from byorn.runs.batches import Shard
from byorn.runs.ranks import processes_here
from byorn.text import first_line

if TYPE_CHECKING:
    import torch
    from torch import Tensor

PATIENCE = timedelta(days=1)
"""For one that computes; one that ends is noticed at once."""


def joined(shard: Shard) -> bool:
    """Whether the processes, of which this one does the shard, are in a group; those of one machine join one (gloo)."""
    import torch.distributed as dist

    if shard.num_shards == 1 or not dist.is_available():
        return False
    if not dist.is_initialized() and processes_here() == shard.num_shards and "MASTER_ADDR" in os.environ:
        dist.init_process_group("gloo", timeout=PATIENCE)
    return dist.is_initialized()


def told(value: float) -> float:
    """The `value` of the first process, in all of them, as soon as all have asked."""
    import torch
    import torch.distributed as dist

    found = torch.tensor(0.0 if dist.get_rank() else value, dtype=torch.float64, device=_device())
    with _others_at_work():
        dist.all_reduce(found)
    return float(found)


def handed_out(tensors: "Iterable[Tensor]", source: int) -> None:
    """Give the tensors of all processes the values that they have in process `source`."""
    import torch
    import torch.distributed as dist

    with torch.no_grad(), _others_at_work():
        for tensor in tensors:
            sent = tensor.detach().to(_device())
            dist.broadcast(sent, src=source)
            tensor.copy_(sent)


def _device() -> "torch.device | str":
    """Where the group wants what is sent."""
    import torch.distributed as dist
    from accelerate import PartialState

    return "cpu" if dist.get_backend() == "gloo" else PartialState().device


@contextmanager
def _others_at_work() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise ByornError(
            f"another process has ended, and this one waits for it ({first_line(error)}); its own error says why; run "
            "the same command again to go on"
        ) from error
