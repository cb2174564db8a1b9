"""Reads the rows of a batch while the model works on the one before: decoded images, tokens, pixels. A GPU would wait
for them.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

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


class Reader:
    """Reads batches; one ahead, where it was told what is to come. See `reading`."""

    def __init__(self, processor: Any, dataset: Any, thread: ThreadPoolExecutor) -> None:
        self._dataset = dataset
        self._thread = thread
        self._collate = build_collator(processor)
        self._collate_ahead = build_collator(deepcopy(processor))  # a tokenizer serves one thread at a time
        self._coming: Iterator[Sequence[int]] = iter(())
        self._due: deque[tuple[Sequence[int], Future[Batch]]] = deque()

    def expect(self, batches: Iterable[Sequence[int]]) -> None:
        """What will be taken, in this order; a batch that differs from it is read when it is taken."""
        self._coming = iter(batches)
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
            self._due.append((batch, self._thread.submit(self._read, batch, self._collate_ahead)))

    def _read(self, batch: Sequence[int], collate: Any) -> Batch:
        samples = [self._dataset[index] for index in batch]
        names = [name_of(sample, index) for index, sample in zip(batch, samples, strict=True)]
        return Batch(names, collated(collate, samples))


def name_of(sample: dict[str, Any], index: int) -> dict[str, Any]:
    """What a row is called in its record: by its number where nothing else is said."""
    return {"id": str(sample.get("id", index)), "turn": int(sample.get("turn") or 0)}


@contextmanager
def reading(processor: Any, dataset: Any) -> Iterator[Reader]:
    """A reader of the rows of a data set, with a thread of its own."""
    with ThreadPoolExecutor(1, "byorn-reader") as thread:
        try:
            yield Reader(processor, dataset, thread)
        finally:
            thread.shutdown(cancel_futures=True)
