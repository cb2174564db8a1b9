"""Several processes, one run folder: each does its share and writes it down, and the first one puts the shares together.

They meet in files and not in a collective call: however long the work takes, no process group runs into its time-out, and
a process that starts late finds what the others have done. Torchrun and `accelerate launch` end all processes when one
fails; where nothing does, the others notice that nobody writes any more.
"""

import time
from collections.abc import Callable, Set
from pathlib import Path
from typing import Any

from byorn.errors import ByornError
from byorn.runs.journal import Journal
from byorn.runs.ranks import share

PATIENCE = 1800.0  # seconds without a finished batch anywhere after which the other processes are given up
POLL = 0.2  # seconds


def open_journal(path: Path, identity: dict[str, str], fields: Set[str]) -> Journal:
    """The journal of this process for a file to come, which knows those of the others: `scores.partial.0.jsonl`, ...

    Raises:
        MismatchError: A journal that is there belongs to other data or another model.
    """
    name = f"{path.stem}.partial"
    return Journal(path.with_name(f"{name}.{share().index}.jsonl"), identity, fields, beside=f"{name}.*.jsonl")


def all_records(log: Journal, count: int) -> list[dict[str, Any]]:
    """The records of all `count` rows, in order, as soon as every process has written its own.

    Raises:
        ByornError: The others have stopped.
    """
    wait_until(lambda: log.catch_up() >= count, log)
    return [log.finished[index] for index in range(count)]


def wait_until(done: Callable[[], bool], log: Journal) -> None:
    """Wait for what another process does, for as long as one of them gets on.

    Raises:
        ByornError: For `PATIENCE` seconds nothing has been written.
    """
    written, since = log.written(), time.monotonic()
    while not done():
        time.sleep(POLL)
        if (now := log.written()) != written:
            written, since = now, time.monotonic()
        elif time.monotonic() - since > PATIENCE:
            raise ByornError(
                f"{log.path}: no process has finished a batch for {PATIENCE / 60:.0f} min; the first error above says "
                "why, if there is one; run the same command again to go on"
            )
