"""Where a shared pattern lies: whether a region is its place, and what its place is where no region was confirmed.

A pattern over the whole picture may be clearest in one region, such as a white margin, and nearly as clear in others: a
region is a place if no other holds `NEARLY` as much of the difference. Of six real sets with a blended picture the
second one holds 0.56 to 0.98 of the first, of twelve with a patch at most 0.34 (seeds 920 to 925).

Rows may be too few to find a place on one half and confirm it on the other. A handful of images may be told from others
by their texture, or their spectrum, on images that it was not found on (`byorn.patterns.images`), while two or three of
them do not tell a patch from chance. Once it is known that they share something, its place is sought with all of them:
the region where they differ most, if it holds enough of

    a = ((mean step of the cluster - mean step of others) / spread of others)^2       steps: of neighboring gray pixels

of which the clearest twentieth count: a share of it, and more than its area explains. In drawn scenes with a patch in
five of 1,000 images that is 0.46 to 0.58 and 7 to 9 times the area; where the pattern lies over the whole picture at
most 0.19, or at most 1.5 times the area once it holds a tenth (seeds 904 to 907).
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from byorn.patterns.halves import Halves
from byorn.patterns.hypotheses import LEAST_SPREAD, Box, excess, largest_rectangle, region_of, steps_of
from byorn.patterns.images import Pattern, halves_of
from byorn.patterns.thumbnails import SIDE, Pictures, Thumbnails

NEARLY = 0.4
LEAST_SHARE = 0.3
LEAST_DENSITY = 2.0
"""Share of the difference over share of the picture: a place that holds all since it is the whole picture is none."""


def placed(
    patterns: Sequence[Pattern], thumbnails: Thumbnails, cluster: np.ndarray, others: np.ndarray
) -> list[Pattern]:
    """The patterns without regions that are no place; where none has a box and one can be found, the clearest gets it.

    Args:
        patterns: From `byorn.patterns.images.shared_pattern` of the same rows.
        thumbnails: Of all rows.
        cluster, others: Numbers of rows.
    """
    if not patterns:
        return []
    halves = halves_of(thumbnails, cluster, others)
    if any(pattern.box for pattern in patterns):
        alone = _alone(thumbnails.of(halves.inside), thumbnails.of(halves.outside))
        return [pattern for pattern in patterns if alone or not pattern.box] or list(patterns)
    box = _place(*_all(thumbnails, halves))
    return [replace(patterns[0], box=box), *patterns[1:]]


def _alone(inside: Pictures, outside: Pictures) -> bool:
    """Whether one rectangle holds most of the difference."""
    found = excess(inside, outside)
    gains = []
    for _ in range(2):
        left, top, right, bottom = largest_rectangle(found)
        gains.append(found[top:bottom, left:right].sum())
        found[top:bottom, left:right] = found.min()
    return bool(gains[1] < NEARLY * gains[0])


def _all(thumbnails: Thumbnails, halves: Halves) -> tuple[Pictures, Pictures]:
    """The pictures of both halves."""
    return (
        thumbnails.of(np.concatenate([halves.inside, halves.held_inside])),
        thumbnails.of(np.concatenate([halves.outside, halves.held_outside])),
    )


def _place(inside: Pictures, outside: Pictures) -> Box | None:
    """The region where they differ most; None where most of the difference lies elsewhere."""
    box = region_of(inside, outside).box
    if box is None:
        return None
    energy = _energy(steps_of(inside), steps_of(outside))
    left, top, right, bottom = (round(SIDE * edge) for edge in (box.left, box.top, box.right, box.bottom))
    area = (bottom - top) * (right - left) / SIDE**2
    least = max(LEAST_SHARE, LEAST_DENSITY * area)
    return box if energy[top:bottom, left:right].sum() >= least * energy.sum() else None


def _energy(inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """float [SIDE, SIDE]: of steps down and across, each counted at its upper left pixel."""
    apart = np.abs(inside.mean(axis=0) - outside.mean(axis=0)) / np.maximum(LEAST_SPREAD, outside.std(axis=0))
    clearest = np.where(apart >= np.quantile(apart, 0.95), apart, 0) ** 2
    down, across = np.split(clearest, 2)
    energy = np.zeros((SIDE, SIDE))
    energy[:-1] += down.reshape(SIDE - 1, SIDE)
    energy[:, :-1] += across.reshape(SIDE, SIDE - 1)
    return energy
