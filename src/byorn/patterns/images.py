"""What the images of a cluster share: a patch in one place, or a pattern over the whole picture.

What it may be is found on one half of the rows (`byorn.patterns.hypotheses`). Its strength is measured on the other
half: the AUC with which the hypothesis tells images of the cluster from others, and a Mann-Whitney test, corrected for
the number of hypotheses. A patch that moves about is not found.
"""

from dataclasses import dataclass, replace

import numpy as np

from byorn.patterns.halves import Halves, split
from byorn.patterns.hypotheses import Box, Kind, hypotheses_of
from byorn.patterns.thumbnails import Pictures, Thumbnails

LEVEL = 0.01
LEAST_AUC = 0.8
MOST_INSIDE = 120
MOST_OUTSIDE = 240
"""Half of them to find a hypothesis with, half to measure it on."""
FEW, MOST_FOR_FEW = 2, 500
"""So few held-out images of a cluster are measured on so many others: two that are above all of 120 have p = 1.4e-4 at
best, which no correction for what else is looked at survives; above all of 500 8e-6.
"""
LEAST_IMAGES = 2
"""Rows with images in each of the four groups; fewer say nothing."""


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """Something that the images of a cluster share.

    Attributes:
        kind: `region`, `picture`, `texture` or `spectrum`.
        box: Of a region; of other kinds where most of it lies, if that is known (`byorn.patterns.place`).
        auc: On the held-out half: 1 tells all images of the cluster from all others, 0.5 none.
        p_value: Corrected.
        inside, outside: How many held-out images that was measured on.
        mean_inside, mean_outside: float32 [SIDE, SIDE, 3], mean pictures on the first half, in [0, 255].
    """

    kind: Kind
    box: Box | None
    auc: float
    p_value: float
    inside: int
    outside: int
    mean_inside: np.ndarray
    mean_outside: np.ndarray

    @property
    def difference(self) -> np.ndarray:
        """uint8 [SIDE, SIDE, 3]: what the cluster has more or less of, around a middle gray, at full contrast."""
        apart = self.mean_inside - self.mean_outside
        strongest = max(1.0, float(np.abs(apart).max()))
        return np.asarray(np.clip(128 + apart * (127 / strongest), 0, 255), dtype=np.uint8)


def shared_pattern(thumbnails: Thumbnails, cluster: np.ndarray, others: np.ndarray) -> list[Pattern]:
    """What the images of a cluster share, the clearest first; nothing where nothing is confirmed.

    Args:
        thumbnails: Of all rows.
        cluster, others: Numbers of rows.
    """
    halves = halves_of(thumbnails, cluster, others)
    groups = [
        thumbnails.of(numbers) for numbers in (halves.inside, halves.outside, halves.held_inside, halves.held_outside)
    ]
    if min(map(len, groups)) < LEAST_IMAGES:
        return []
    found = _confirmed(*groups)
    best = max((pattern.auc for pattern in found), default=0.0)
    # of two that tell as much, a place says more
    return sorted(found, key=lambda pattern: (pattern.kind != "region" or pattern.auc < best - 0.03, -pattern.auc))


def halves_of(thumbnails: Thumbnails, cluster: np.ndarray, others: np.ndarray) -> Halves:
    """Halves of those of the rows that show different images, of which at most so many are taken."""
    found = split(
        thumbnails.digest, thumbnails.distinct(cluster), thumbnails.distinct(others), (MOST_INSIDE, 2 * MOST_FOR_FEW)
    )
    each = MOST_OUTSIDE // 2
    measured = MOST_FOR_FEW if len(found.held_inside) <= FEW else each
    return replace(found, outside=found.outside[:each], held_outside=found.held_outside[:measured])


def _confirmed(inside: Pictures, outside: Pictures, held_inside: Pictures, held_outside: Pictures) -> list[Pattern]:
    """The hypotheses of the first two groups that hold on the other two."""
    hypotheses = hypotheses_of(inside, outside)
    held = (held_inside, held_outside)
    strengths = [_strength(*(group.most(one.score(group)) for group in held)) for one in hypotheses]
    return [
        Pattern(
            kind=one.kind,
            box=one.box,
            auc=auc,
            p_value=min(1.0, p_value * len(hypotheses)),
            inside=len(held_inside),
            outside=len(held_outside),
            mean_inside=inside.pixels.mean(axis=0),
            mean_outside=outside.pixels.mean(axis=0),
        )
        for one, (auc, p_value) in zip(hypotheses, strengths, strict=True)
        if p_value * len(hypotheses) < LEVEL and auc >= LEAST_AUC
    ]


def _strength(inside: np.ndarray, outside: np.ndarray) -> tuple[float, float]:
    """AUC, and the p-value that images of the cluster do not score higher."""
    from scipy.stats import mannwhitneyu

    test = mannwhitneyu(inside, outside, alternative="greater", method="asymptotic" if len(inside) > 20 else "auto")
    return float(test.statistic / (len(inside) * len(outside))), float(test.pvalue)
