"""How much more often something is so inside a group than outside, with an interval.

    odds ratio = a d / (b c),   ln OR +- 1.96 sqrt(1/a + 1/b + 1/c + 1/d)

with one half added to each count (Haldane 1956, Woolf 1955), and Fisher's exact test, one-sided.
"""

import math
from dataclasses import dataclass

from byorn.evaluation.comparisons import more_often

_Z = 1.959964


@dataclass(frozen=True, kw_only=True)
class Odds:
    """A two by two table.

    Attributes:
        inside, of_inside: How many of the group have it, of how many.
        outside, of_outside: How many of the others.
        ratio, low, high: Odds ratio with its 95 % interval.
        p_value: Of Fisher's exact test that it is not more frequent inside; not corrected.
    """

    inside: int
    of_inside: int
    outside: int
    of_outside: int
    ratio: float
    low: float
    high: float
    p_value: float


def odds(inside: int, of_inside: int, outside: int, of_outside: int) -> Odds:
    """The table with its ratio, interval and p-value."""
    a, b = inside + 0.5, of_inside - inside + 0.5
    c, d = outside + 0.5, of_outside - outside + 0.5
    log = math.log(a * d / (b * c))
    half = _Z * math.sqrt(1 / a + 1 / b + 1 / c + 1 / d)
    return Odds(
        inside=inside,
        of_inside=of_inside,
        outside=outside,
        of_outside=of_outside,
        ratio=math.exp(log),
        low=math.exp(log - half),
        high=math.exp(log + half),
        p_value=more_often(inside, of_inside, outside, of_outside),
    )
