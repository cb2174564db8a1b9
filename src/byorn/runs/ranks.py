"""Which process of several this is, and who speaks. Cheap to import: the command line asks before anything is
loaded.
"""

import gc
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

from byorn.runs.batches import WHOLE, Shard

GRACE = 5.0  # seconds


def current_shard() -> Shard:
    """The part of the work that is this process's, as the launcher's RANK and WORLD_SIZE say; without one, all of
    it.
    """
    if "RANK" not in os.environ:
        return WHOLE
    return Shard(int(os.environ["RANK"]), int(os.environ.get("WORLD_SIZE", 1)))


def processes_here() -> int:
    """How many processes of the launcher share this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", 1))


def is_main() -> bool:
    """Whether this process is the first, or the only one."""
    return current_shard().index == 0


def end_group() -> None:
    """End the process group, if training joined one, and its threads; call it when no trainer is in use any more.

    Left to Python's own end, a thread of gloo may drop its last tensors when there is no interpreter any more; then the
    process aborts and torchrun reports a failure, though the work is done. Models under DDP keep the group alive, and
    lie in reference cycles: they are collected first.
    """
    if "vllm" in sys.modules:  # it has started the group, and ends it
        return
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        gc.collect()
        distributed.destroy_process_group()


@contextmanager
def only_main_speaks() -> Iterator[None]:
    """What is printed inside is printed once; a process that fails still says why, outside."""
    if is_main():
        yield
        return
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        yield


def error_line(error: Exception) -> str:
    """`error: ...`, with the number of a process that fails alone.

    Mostly all fail alike: the others leave the first one time to say it, and the launcher ends them when it has ended.
    """
    if is_main():
        return f"error: {error}"
    time.sleep(GRACE)
    shard = current_shard()
    return f"error: process {shard.index} of {shard.num_shards}: {error}"
