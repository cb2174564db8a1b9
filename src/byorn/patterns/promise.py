"""Which of many groups of rows are worth measuring: those whose images may share something, as far as a glance tells.

    in a place    k max mean KL(cluster || others)                        over the squares of a coarse grid
    all over      k / 2 mean ((step of the cluster - of others) / s)^2    over the clearest twentieth of steps

in nats, with k the images of the cluster, steps the mean differences of neighboring gray pixels, and s their spread
between others. A patch promises much in a place; a picture that is blended in faintly next to nothing there, and more
than others all over. Either looks at the first half of the rows alone: `byorn.patterns.images` measures on the other.
"""

from collections.abc import Sequence

import numpy as np

from byorn.patterns.hypotheses import divergence, moments, steps_of
from byorn.patterns.images import LEAST_IMAGES, halves_of
from byorn.patterns.thumbnails import Thumbnails

IN_A_PLACE = 8
ALL_OVER = 2
"""Groups that are measured, those that promise most either way."""
MEASURED = IN_A_PLACE + ALL_OVER
_SQUARE = 2
"""Cells of the coarse grid."""
_CLEAREST = 0.95
"""Quantile over the steps."""
Pair = tuple[np.ndarray, np.ndarray]
"""Numbers of the rows of a cluster, and of others."""


def promising(thumbnails: Thumbnails, pairs: Sequence[Pair]) -> list[int]:
    """Numbers of the pairs that are worth measuring, `MEASURED` at most, the most promising first."""
    halves = [halves_of(thumbnails, *pair) for pair in pairs]
    found: list[int] = []
    for promise, most in ((_in_a_place, IN_A_PLACE), (_all_over, ALL_OVER)):
        promised = [promise(thumbnails, half.inside, half.outside) for half in halves]
        found += np.argsort(np.negative(promised), kind="stable")[:most].tolist()
    return list(dict.fromkeys(found))


def _in_a_place(thumbnails: Thumbnails, inside: np.ndarray, outside: np.ndarray) -> float:
    own, others = (thumbnails.coarse(numbers) for numbers in (inside, outside))
    if min(len(own), len(others)) < LEAST_IMAGES:
        return 0.0
    apart = divergence(moments(own), moments(others))
    windows = np.lib.stride_tricks.sliding_window_view(apart, (_SQUARE, _SQUARE))
    return float(windows.mean(axis=(2, 3)).max()) * len(own)


def _all_over(thumbnails: Thumbnails, inside: np.ndarray, outside: np.ndarray) -> float:
    own, others = (thumbnails.of(numbers) for numbers in (inside, outside))
    if min(len(own), len(others)) < LEAST_IMAGES:
        return 0.0
    usual = moments(steps_of(others))
    apart = ((steps_of(own).mean(axis=0) - usual.mean) / usual.spread) ** 2
    return float(apart[apart >= np.quantile(apart, _CLEAREST)].mean()) / 2 * len(own)
