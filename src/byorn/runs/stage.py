"""A resumable stage: one record for each of many items, from a model, kept as a file of the run folder.

Scoring, predictions and the measurements of defenses are such stages. Items are computed in batches and written down as
they come, so that a killed run goes on where it stopped. The finished file names its data and model.

Several processes do a shard each. They meet in files and not in a collective call: however long the work takes, no
process group runs into its time-out, and a process that starts late finds what the others have done. Torchrun and
`accelerate launch` end all processes when one fails; where nothing does, the others notice that nobody writes any more.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from byorn.errors import ByornError
from byorn.runs.batches import WHOLE, Shard, shard_batches
from byorn.runs.journal import Journal, require_journal_of
from byorn.runs.progress import progress
from byorn.runs.ranks import current_shard, is_main

PATIENCE = 1800.0  # seconds without a finished batch anywhere after which the other processes are given up
POLL = 0.2  # seconds

Record = dict[str, Any]

Compute = Callable[[Sequence[int]], Iterable[tuple[int, Record]]]
"""A batch of items -> the item and its record, values that JSON knows, for each."""


@runtime_checkable
class Joint(Protocol):
    """A `Compute` that other processes wait for: they share the weights of a model."""

    def __call__(self, batch: Sequence[int]) -> Iterable[tuple[int, Record]]: ...

    def join(self) -> None:
        """Go on until they are done."""


@runtime_checkable
class Ahead(Protocol):
    """A `Compute` that reads a batch before it is asked for."""

    def __call__(self, batch: Sequence[int]) -> Iterable[tuple[int, Record]]: ...

    def expect(self, batches: Sequence[Sequence[int]]) -> None:
        """What will be asked for, in this order."""


def fill(
    log: Journal,
    order: Sequence[int],
    batch_size: int,
    compute: Compute,
    *,
    shard: Shard = WHOLE,
    phase: str = "",
) -> None:
    """Enter into a journal what it lacks of a shard of the items.

    An item's batch is the one that it has on a single process, so all shards together give the records of one.

    Args:
        log: The journal.
        order: All items, in the order in which to compute them.
        batch_size: Items at once.
        compute: Gives their records.
        shard: Which part of the items.
        phase: Of the progress bar, `scoring` for instance; there is none without it.
    """
    batches = shard_batches(order, batch_size, shard, log.finished)
    if isinstance(compute, Ahead):
        compute.expect(batches)
    with progress(sum(map(len, batches)), phase, wanted=bool(phase)) as bar:
        for batch in batches:
            for index, record in compute(batch):
                log.add(index, record)
            log.flush()
            bar.update(len(batch))
    if isinstance(compute, Joint):
        compute.join()


def run_stage(
    path: Path,
    identity: dict[str, str],
    fields: Set[str],
    order: Sequence[int],
    batch_size: int,
    compute: Compute,
    write: Callable[[list[Record]], None],
    *,
    phase: str = "",
    only_main: bool = False,
) -> None:
    """Compute the records of all items with all processes; when this returns, `path` is there.

    Args:
        path: The finished file.
        identity: Of data and model, see `byorn.runs.identity`.
        fields: The names in a record.
        order, batch_size, compute, phase: See `fill`.
        write: Writes `path` from the records of the items 0, 1, ...; called in the first process.
        only_main: The other processes have no use for `path`: they return as soon as their own records are written.

    Raises:
        MismatchError: The journal of a killed run belongs to other data or another model.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_journal(path, identity, fields) as log:
        fill(log, order, batch_size, compute, shard=current_shard(), phase=phase)
        if is_main():
            write(all_records(log, len(order)))
        elif only_main:
            return
        else:
            wait_until(path.exists, log)
    log.discard()


def finished(path: Path) -> bool:
    """Whether a stage has written its file; journals that a kill has left beside it are deleted."""
    if not path.exists():
        return False
    for journal in _journals(path):
        journal.unlink(missing_ok=True)
    return True


def require_begun_with(path: Path, identity: dict[str, str]) -> None:
    """Refuse what a killed run has left of a file to come, if it is of something else.

    Raises:
        MismatchError: It belongs to other data or another model.
    """
    for journal in _journals(path):
        require_journal_of(journal, identity)


def _journals(path: Path) -> Iterator[Path]:
    """The journals of all processes for a file."""
    yield from path.parent.glob(f"{path.stem}.partial.*.jsonl")


def open_journal(path: Path, identity: dict[str, str], fields: Set[str]) -> Journal:
    """The journal of this process for a file to come, which knows those of the others: `scores.partial.0.jsonl`, ...

    Raises:
        MismatchError: A journal that is there belongs to other data or another model.
    """
    name = f"{path.stem}.partial"
    return Journal(path.with_name(f"{name}.{current_shard().index}.jsonl"), identity, fields, beside=f"{name}.*.jsonl")


def all_records(log: Journal, count: int) -> list[Record]:
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
    written = log.written()
    since = time.monotonic()
    while not done():
        time.sleep(POLL)
        if (now := log.written()) != written:
            written = now
            since = time.monotonic()
        elif time.monotonic() - since > PATIENCE:
            raise ByornError(
                f"{log.path}: no process has finished a batch for {PATIENCE / 60:.0f} min; the first error above says "
                "why, if there is one; run the same command again to go on"
            )
