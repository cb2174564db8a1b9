"""Several processes, one run folder: the first one writes, the others read what it wrote."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


def is_main() -> bool:
    """Whether this process is the first, or the only one."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def first_on_main() -> Iterator[None]:
    """The body runs in the first process, then in the others, who find its files. They wait as long as the process
    group's time-out lets them (half an hour with NCCL): scan a large data set with `byorn scan --out` of the same
    folder before.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    from accelerate import PartialState

    with PartialState().main_process_first():
        yield
