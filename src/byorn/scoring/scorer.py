"""The functions of a stage that score rows: batch after batch, and no row can stop the others."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from byorn.models.template import end_ids
from byorn.runs.stage import Compute
from byorn.scoring.adaptation import CrossFitted
from byorn.scoring.alike import ForwardError, alike
from byorn.scoring.likelihood import ResponseTokens, scoring, tokens_of
from byorn.scoring.reader import Reader, name_of, reading
from byorn.scoring.statistics import statistics_of
from byorn.scoring.words import word_costs
from byorn.text import first_line

Scored = tuple[int, dict[str, Any]]
"""A row and its record."""


@contextmanager
def scorer(model: Any, processor: Any, dataset: Any) -> Iterator[Compute]:
    """The function of a stage that scores a batch of rows, while the model is set up for it."""
    with scoring(model), reading(processor, dataset) as reader:
        plain = Scorer(model, processor, dataset, reader)
        yield alike(model, plain, plain.spare)


@contextmanager
def fitted_scorer(fitted: CrossFitted, processor: Any, dataset: Any, rows: Sequence[int]) -> Iterator[Compute]:
    """The function of a stage that scores each row by the model that was adapted to the fold which it is not in, and
    tells what each of its words costs.

    Args:
        fitted: From `byorn.scoring.adaptation.cross_fitted`.
        processor: The processor of its model.
        dataset: What is scored.
        rows: Which row of the adapted data set each of its items is.
    """
    fitted.adapt()
    with scoring(fitted.model, adapters=True), reading(processor, dataset) as reader:
        by_fold = FittedScorer(fitted, processor, dataset, reader, rows)
        yield alike(fitted.model, by_fold, by_fold.spare)


class Scorer:
    """A `Compute` of a stage that reads ahead."""

    def __init__(self, model: Any, processor: Any, dataset: Any, reader: Reader) -> None:
        self._model = model
        self._processor = processor
        self._dataset = dataset
        self._reader = reader
        self._ends = end_ids(model, processor)

    def expect(self, batches: Sequence[Sequence[int]]) -> None:
        """What will be asked for, in this order."""
        self._reader.expect(batches)

    def __call__(self, batch: Sequence[int]) -> Iterator[Scored]:
        """The records of a batch; after a failure its halves are tried, down to the row that is at fault."""
        import torch

        try:
            yield from self._scored(batch)
            return
        except (torch.AcceleratorError, ForwardError):  # the device is lost, and every later row would be blamed for it
            raise
        except Exception as error:  # decoders and processors fail on hostile rows in every way there is
            if len(batch) == 1:
                yield batch[0], self._failure(batch[0], error)
                return
        torch.cuda.empty_cache()
        middle = len(batch) // 2
        yield from Scorer.__call__(self, batch[:middle])
        yield from Scorer.__call__(self, batch[middle:])

    def spare(self) -> None:
        """Run the model once, on the first row that reaches it."""
        for index in range(len(self._dataset)):
            try:
                tokens_of(self._model, self._reader.take([index]).inputs, self._ends)
                return
            except ForwardError:
                raise
            except Exception:  # as in a batch of its own, where it gets its reason
                continue

    def _scored(self, batch: Sequence[int]) -> list[Scored]:
        read = self._reader.take(batch)
        found = tokens_of(self._model, read.inputs, self._ends)
        return [
            (index, {**name, **self._said(tokens)})
            for index, name, tokens in zip(batch, read.names, found, strict=True)
        ]

    def _said(self, tokens: ResponseTokens) -> dict[str, Any]:
        statistics = statistics_of(tokens.log_probs)
        failure = "the model gave no finite likelihood" if len(tokens.ids) else "the response has no tokens"
        reason = None if np.isfinite(statistics["nll"]) else failure
        return {**statistics, "tokens": len(tokens.ids), "reason": reason}

    def _failure(self, index: int, error: Exception) -> dict[str, Any]:
        columns = [name for name in ("id", "turn") if name in self._dataset.column_names]
        sample = self._dataset.select_columns(columns)[index] if columns else {}
        reason = f"{type(error).__name__}: {first_line(error)}"
        return {**name_of(sample, index), **statistics_of(np.empty(0)), "tokens": 0, "reason": reason}


class FittedScorer(Scorer):
    """A `Scorer` that takes each row's own model, and spells its words."""

    def __init__(self, fitted: CrossFitted, processor: Any, dataset: Any, reader: Reader, rows: Sequence[int]) -> None:
        super().__init__(fitted.model, processor, dataset, reader)
        self._fitted = fitted
        self._rows = rows

    def expect(self, batches: Sequence[Sequence[int]]) -> None:
        super().expect([part for batch in batches for _, part in self._parts(batch)])

    def __call__(self, batch: Sequence[int]) -> Iterator[Scored]:
        for fold, part in self._parts(batch):
            self._fitted.use(fold)
            yield from super().__call__(part)

    def _parts(self, batch: Sequence[int]) -> Iterator[tuple[int, list[int]]]:
        """The fold whose model scores them, and rows."""
        for fold in (0, 1):
            if part := [item for item in batch if self._fitted.fold[self._rows[item]] != bool(fold)]:
                yield fold, part

    def _said(self, tokens: ResponseTokens) -> dict[str, Any]:
        said = super()._said(tokens)
        return {**said, "words": [] if said["reason"] else word_costs(self._processor, tokens)}

    def _failure(self, index: int, error: Exception) -> dict[str, Any]:
        return {**super()._failure(index, error), "words": []}
