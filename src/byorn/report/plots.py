"""Where the marks of a plot stand; the page draws them as SVG.

Coordinates are in units of the view box, y downwards.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from byorn.report.evidence import Distribution
from byorn.report.odds import Odds

WIDTH = 720
HEIGHT = 240
TICKS = 7
LARGEST = 1000.0
"""Odds ratio at the end of the axis."""
_LEFT = 8
_RIGHT = 8
_TOP = 26
_BOTTOM = 26


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One bar of a histogram; `inner` is the height of its part in clusters."""

    x: float
    y: float
    width: float
    height: float
    inner: float
    title: str


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A mark of an axis."""

    x: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Bars, ticks, and where the threshold stands."""

    bars: list[Bar]
    ticks: list[Tick]
    threshold: float | None
    base: float


def histogram(distribution: Distribution, inner: str = "stand out") -> Histogram:
    """The scores as bars; heights are square roots of counts, so that a handful of rows is seen beside thousands.

    `inner` says what the rows in the inner part of a bar do.
    """
    edges = distribution.edges
    base = HEIGHT - _BOTTOM
    tallest = math.sqrt(max([1, *distribution.counts]))

    def height(count: int) -> float:
        return round((base - _TOP) * math.sqrt(count) / tallest, 2)

    bars = [
        Bar(
            x=_place(low, edges) + 0.5,
            y=base - height(count),
            width=max(1.0, _place(high, edges) - _place(low, edges) - 1),
            height=height(count),
            inner=height(inside),
            title=f"{low:.2f} to {high:.2f}: {count} rows" + (f", {inside} of them {inner}" if inside else ""),
        )
        for low, high, count, inside in zip(
            edges[:-1], edges[1:], distribution.counts, distribution.clustered, strict=True
        )
        if count
    ]
    threshold = distribution.threshold
    inside_plot = edges[0] <= threshold <= edges[-1]
    ticks = [Tick(x=_place(value, edges), text=f"{value:g}") for value in nice_ticks(edges[0], edges[-1])]
    return Histogram(bars=bars, ticks=ticks, threshold=_place(threshold, edges) if inside_plot else None, base=base)


def _place(value: float, edges: Sequence[float]) -> float:
    span = (edges[-1] - edges[0]) or 1.0
    return round(_LEFT + (value - edges[0]) / span * (WIDTH - _LEFT - _RIGHT), 2)


def nice_ticks(low: float, high: float) -> list[float]:
    """Round numbers inside [low, high], about `TICKS` of them."""
    raw = max(high - low, 1e-9) / TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
    first = math.ceil(low / step)
    return [round(place * step, 10) for place in range(first, math.floor(high / step) + 1)]


@dataclass(frozen=True, kw_only=True)
class Whisker:
    """An odds ratio with its interval on a logarithmic axis, in percent of its width; `one` is where 1 stands."""

    low: float
    middle: float
    high: float
    one: float


def whisker(odds: Odds) -> Whisker:
    """The interval between 1 / `LARGEST` and `LARGEST`; what is beyond ends at the border."""

    def place(ratio: float) -> float:
        share = math.log(min(max(ratio, 1 / LARGEST), LARGEST)) / math.log(LARGEST)
        return round(50 + 50 * share, 2)

    return Whisker(low=place(odds.low), middle=place(odds.ratio), high=place(odds.high), one=50)
