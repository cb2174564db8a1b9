"""Reads the rows of coming batches while the model works on the ones before: decoded images, tokens, pixels. A GPU
would wait for them.

Decoding, resizing and tokenizing run outside Python's lock, so that several threads read several batches at once. A
tokenizer serves one thread at a time: each has a copy of the processor.
"""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from byorn.runs.ranks import processes_here
from byorn.scoring.likelihood import build_collator, collated


@dataclass(frozen=True)
class Batch:
    """Rows as a model takes them.

    Attributes:
        names: Their `id` and `turn`.
        inputs: Tensors, from `byorn.scoring.likelihood.collated`.
    """

    names: list[dict[str, Any]]
    inputs: Any


MOST_THREADS = 4
BATCHES_A_THREAD = 32
"""Fewer are not worth a copy of the processor, which takes a while where its vocabulary is large."""


class Reader:
    """Reads batches; some ahead, where it was told what is to come. See `reading`."""

    def __init__(self, processor: Any, dataset: Any, pool: ThreadPoolExecutor, threads: int) -> None:
        self._processor = processor
        self._dataset = dataset
        self._pool = pool
        self._threads = threads
        self._collate = build_collator(processor)
        self._spare: SimpleQueue[Any] = SimpleQueue()
        self._copies = 0
        self._coming: Iterator[Sequence[int]] = iter(())
        self._due: deque[tuple[Sequence[int], Future[Batch]]] = deque()

    def expect(self, batches: Sequence[Sequence[int]]) -> None:
        """What will be taken from now on, in this order; a batch that differs from it is read when it is taken."""
        self._coming = iter(batches)
        self._due.clear()
        ahead = max(1, min(self._threads, len(batches) // BATCHES_A_THREAD))
        for _ in range(ahead - self._copies):
            self._spare.put(build_collator(deepcopy(self._processor)))
        self._copies = max(ahead, self._copies)
        for _ in range(ahead):
            self._next()

    def take(self, batch: Sequence[int]) -> Batch:
        """The batch.

        Raises:
            Exception: Whatever a decoder or a processor raises on a row.
        """
        if not self._due or self._due[0][0] != batch:
            return self._read(batch, self._collate)
        found = self._due.popleft()[1].result
        try:
            return found()
        finally:
            self._next()

    def _next(self) -> None:
        if (batch := next(self._coming, None)) is not None:
            self._due.append((batch, self._pool.submit(self._read_ahead, batch)))

    def _read_ahead(self, batch: Sequence[int]) -> Batch:
        collate = self._spare.get()
        try:
            return self._read(batch, collate)
        finally:
            self._spare.put(collate)

    def _read(self, batch: Sequence[int], collate: Any) -> Batch:
        samples = [self._dataset[index] for index in batch]
        names = [name_of(sample, index) for index, sample in zip(batch, samples, strict=True)]
        return Batch(names, collated(collate, samples))


def name_of(sample: dict[str, Any], index: int) -> dict[str, Any]:
    """What a row is called in its record: by its number where nothing else is said."""
    return {"id": str(sample.get("id", index)), "turn": int(sample.get("turn") or 0)}


@contextmanager
def reading(processor: Any, dataset: Any, threads: int | None = None) -> Iterator[Reader]:
    """A reader of the rows of a data set, with threads of its own: by default a core each, but for the one that runs
    the model.
    """
    threads = threads or max(1, min(MOST_THREADS, (os.cpu_count() or 1) // processes_here() - 1))
    with ThreadPoolExecutor(threads, "byorn-reader") as pool:
        try:
            yield Reader(processor, dataset, pool, threads)
        finally:
            pool.shutdown(cancel_futures=True)
