"""Passes over a data set: by the pretrained model, and by that model adapted to the fold which a row is not in."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from byorn.data.row import Row
from byorn.runs.batches import Shard, length_order
from byorn.runs.stage import Compute
from byorn.scoring.adaptation import CrossFitted, cross_fitted
from byorn.scoring.folds import by_fold, content_folds
from byorn.scoring.kinds import kinds_of
from byorn.scoring.scorer import fitted_scorer, scorer
from byorn.scoring.statistics import STATISTICS

FIELDS = frozenset({"id", "turn", *STATISTICS, "tokens", "reason"})


@dataclass(frozen=True)
class Pass:
    """What a stage (`byorn.runs.stage`) has to know to score a data set.

    Attributes:
        using: Gives the function that scores a batch, while the model is set up for it; once.
        order: All items, in the order in which to score them.
        fields: The names in a record.
    """

    using: AbstractContextManager[Compute]
    order: Sequence[int]
    fields: frozenset[str]


def pretrained_pass(model: Any, processor: Any, dataset: Any) -> Pass:
    """By the model with its adapters off, the longest rows first."""
    return Pass(scorer(model, processor, dataset), length_order(dataset), FIELDS)


def fitted_pass(fitted: CrossFitted, processor: Any, dataset: Any, rows: Sequence[int]) -> Pass:
    """By the adapted model, one fold after the other; it tells what each word costs, too. See `fitted_scorer`."""
    order = by_fold(length_order(dataset), fitted.fold[list(rows)])
    return Pass(fitted_scorer(fitted, processor, dataset, rows), order, FIELDS | {"words"})


def fitted_to(
    model: Any, processor: Any, dataset: Any, rows: Sequence[Row], nll: np.ndarray, *, batch_size: int,
    shard: Shard,
) -> AbstractContextManager[CrossFitted]:  # fmt: skip
    """`cross_fitted` for rows of which these are the scores under the pretrained model, NaN where there is none."""
    fold, usable, kinds = content_folds(rows), np.isfinite(nll), kinds_of(rows)
    return cross_fitted(model, processor, dataset, fold, usable, batch_size=batch_size, kinds=kinds, shard=shard)
