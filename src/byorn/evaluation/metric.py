"""A number that never travels alone: value, number of items, interval, and what was left out."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from byorn.errors import DataError
from byorn.evaluation.intervals import bootstrap_mean, wilson


@dataclass(frozen=True, slots=True)
class Metric:
    """The result of one metric over one test set.

    Attributes:
        name: The registered name.
        value: The metric in its own `unit`; NaN with `reason` where it is undefined.
        n: How many items it was computed from.
        low: Lower end of the interval, in the unit of `value`.
        high: Upper end of the interval, in the unit of `value`.
        excluded: How many items were left out by the metric's own rule.
        unit: Scale and direction, for the reader of a table.
        reason: Why `value` is NaN; empty otherwise.
        detail: Further numbers and the options used.
    """

    name: str
    value: float
    n: int
    low: float
    high: float
    excluded: int = 0
    unit: str = ""
    reason: str = ""
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def defined(self) -> float | None:
        """The value, None where it is undefined."""
        return None if math.isnan(self.value) else self.value

    def as_dict(self) -> dict[str, Any]:
        """Plain values for strict JSON, which has no NaN: an undefined number becomes None."""
        plain = asdict(self)
        return plain | {key: None for key in ("value", "low", "high") if math.isnan(plain[key])}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "Metric":
        """The metric that `as_dict` wrote."""
        return cls(**{**plain, **{key: math.nan for key in ("value", "low", "high") if plain[key] is None}})


def undefined(name: str, reason: str, **fields: Any) -> Metric:
    """A metric without a value, and why."""
    return Metric(name, math.nan, 0, math.nan, math.nan, reason=reason, **fields)


def share(name: str, hits: Sequence[bool], confidence: float = 0.95, **fields: Any) -> Metric:
    """The share of true items in [0, 1] with its Wilson interval."""
    if not hits:
        reason = "every item was left out" if fields.get("excluded") else "no item to measure"
        return undefined(name, reason, **fields)
    low, high = wilson(sum(hits), len(hits), confidence)
    return Metric(name, sum(hits) / len(hits), len(hits), low, high, **fields)


def mean(
    name: str,
    values: Sequence[float] | np.ndarray,
    scale: float = 1.0,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    **fields: Any,
) -> Metric:
    """The mean of per-item values times `scale`, with its bootstrap interval."""
    if len(values) == 0:
        return undefined(name, "no item to measure", **fields)
    scaled = np.asarray(values, dtype=float) * scale
    low, high = bootstrap_mean(scaled, confidence, resamples, seed)
    return Metric(name, float(scaled.mean()), len(scaled), low, high, **fields)


def check_pairs(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    """Refuse predictions and references that do not belong together.

    Raises:
        DataError: The two differ in length, or an item has no reference.
    """
    if len(predictions) != len(references):
        raise DataError(
            f"{len(predictions)} predictions but {len(references)} reference lists: give one list for each prediction."
        )
    for index, texts in enumerate(references):
        if isinstance(texts, str) or not texts:
            raise DataError(f"item {index} has no list of references: give at least one reference text for each item.")
