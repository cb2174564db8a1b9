"""What the images of a cluster share: a patch in one place, or a pattern over the whole picture.

Images are made 64 x 64. On one half of the rows the cluster is described by a normal distribution for each pixel, and
so are the others. Where the two differ most is a hypothesis:

    region     the rectangle with the largest sum of KL(cluster || others) - c: a patch; c is what chance gives, or
               half of the peak if that is more
    picture    every pixel, projected on the difference of the two means: a blended picture
    texture    the same for the differences of neighboring gray pixels, which backgrounds do not hide
    spectrum   the same for the logarithm of the gray picture's Fourier magnitudes: a wave, whatever its phase

Its strength is measured on the other half: the AUC with which the hypothesis tells images of the cluster from others,
and a Mann-Whitney test, corrected for the number of hypotheses. A patch that moves about is not found.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from byorn.patterns.halves import Halves, split
from byorn.patterns.thumbnails import SIDE, Pictures, Thumbnails

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
LEAST_SPREAD = 4.0
"""Gray levels: the least standard deviation of a pixel."""
ENOUGH = 4.0
"""Nats by which a pixel differs; more counts as this, or as twice what chance gives. On a white margin, which no other
image breaks, it may be hundreds, and nothing else of a patch would be seen.
"""
_PEAK = 0.995
"""Quantile over the pixels."""
_SQUARE = 2
"""Cells of the coarse grid."""
Kind = Literal["region", "picture", "texture", "spectrum"]
Features = Callable[[Pictures], np.ndarray]
"""Pictures -> float array [images, features]."""


@dataclass(frozen=True, kw_only=True)
class Box:
    """A rectangle in shares of width and height."""

    left: float
    top: float
    right: float
    bottom: float


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


@dataclass(frozen=True)
class Hypothesis:
    """Something that may tell the images of a cluster from others.

    Attributes:
        kind: `region`, `picture`, `texture` or `spectrum`.
        box: Of a region.
        score: Pictures -> float [images], higher where it is there.
    """

    kind: Kind
    box: Box | None
    score: Callable[[Pictures], np.ndarray]


@dataclass(frozen=True)
class _Moments:
    """Mean and standard deviation of some features over the images of a group.

    Attributes:
        mean, spread: float arrays, as one image's features; spread is at least a floor.
    """

    mean: np.ndarray
    spread: np.ndarray


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


def promise(thumbnails: Thumbnails, cluster: np.ndarray, others: np.ndarray) -> float:
    """How far a cluster's images may differ from others in one place, in nats: the number of its rows times the largest
    mean of KL(cluster || others) over a square of a coarse grid. By the first half alone: `shared_pattern` measures on
    the other one.
    """
    halves = halves_of(thumbnails, cluster, others)
    inside, outside = (thumbnails.coarse(numbers) for numbers in (halves.inside, halves.outside))
    if min(len(inside), len(outside)) < LEAST_IMAGES:
        return 0.0
    apart = _divergence(_moments(inside), _moments(outside))
    windows = np.lib.stride_tricks.sliding_window_view(apart, (_SQUARE, _SQUARE))
    return float(windows.mean(axis=(2, 3)).max()) * len(inside)


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


def hypotheses_of(inside: Pictures, outside: Pictures) -> list[Hypothesis]:
    """One of each kind, from the pictures of a cluster and of others; at least two of each."""
    own, others = _moments(inside.pixels), _moments(outside.pixels)
    return [
        _region(own, others, outside.pixels, len(inside.pixels)),
        _projected("picture", _values, own.mean.ravel(), _Moments(others.mean.ravel(), others.spread.ravel())),
        _projected("texture", steps_of, steps_of(inside).mean(axis=0), _moments(steps_of(outside))),
        _projected("spectrum", _spectra, inside.spectra.mean(axis=0), _moments(outside.spectra, 0.1)),
    ]


def region_of(inside: Pictures, outside: Pictures) -> Hypothesis:
    """The place where a cluster differs most from others, alone."""
    return _region(_moments(inside.pixels), _moments(outside.pixels), outside.pixels, len(inside.pixels))


def _moments(features: np.ndarray, floor: float = LEAST_SPREAD) -> _Moments:
    mean = features.mean(axis=0, keepdims=True)
    return _Moments(mean[0], np.maximum(floor, features.std(axis=0, mean=mean)))


def _divergence(own: _Moments, others: _Moments) -> np.ndarray:
    """float [SIDE, SIDE]: KL between the two normal distributions of each pixel, over its colors, in nats."""
    squares = own.spread**2 + (own.mean - others.mean) ** 2
    nats = np.log(others.spread / own.spread) + squares / (2 * others.spread**2) - 0.5
    return np.asarray(nats.mean(axis=2))


def excess(inside: Pictures, outside: Pictures) -> np.ndarray:
    """float [SIDE, SIDE]: by how many nats each pixel of a cluster differs from others beyond c."""
    return _excess(_moments(inside.pixels), _moments(outside.pixels), outside.pixels, len(inside.pixels))


def _excess(own: _Moments, others: _Moments, outside: np.ndarray, size: int) -> np.ndarray:
    """Chance is what as many of the others differ from all of them."""
    rng = np.random.default_rng(0)
    some = [rng.permutation(len(outside))[:size] for _ in range(5)]
    drawn = [_divergence(_moments(outside[numbers]), others) for numbers in some]
    highest = max(np.quantile(one, _PEAK) for one in drawn)
    found = np.minimum(_divergence(own, others), max(ENOUGH, 2 * highest))
    # a cluster of a few images may differ everywhere, by its backgrounds; a patch rises above that
    return np.asarray(found - max(np.quantile(drawn, 0.95), np.quantile(found, _PEAK) / 2))


def _region(own: _Moments, others: _Moments, outside: np.ndarray, size: int) -> Hypothesis:
    """The place where the cluster differs."""
    left, top, right, bottom = largest_rectangle(_excess(own, others, outside, size))
    place = np.s_[top:bottom, left:right]

    def score(pictures: Pictures) -> np.ndarray:
        """How much likelier the region is in the cluster, by the nearer of a lenient and its own spread."""
        pixels, lenient = pictures.pixels[:, *place], np.maximum(own.spread[place], 8.0)
        likelier = ((pixels - others.mean[place]) / others.spread[place]) ** 2
        return np.asarray((likelier - ((pixels - own.mean[place]) / lenient) ** 2).mean(axis=(1, 2, 3)))

    box = Box(left=left / SIDE, top=top / SIDE, right=right / SIDE, bottom=bottom / SIDE)
    return Hypothesis("region", box, score)


def largest_rectangle(values: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the rectangle with the largest sum (Kadane's, over all pairs of rows)."""
    sums = np.vstack([np.zeros(values.shape[1]), values.cumsum(axis=0)])
    best, box = -np.inf, (0, 0, 1, 1)
    for top in range(values.shape[0]):
        strips = sums[top + 1 :] - sums[top]
        walked = np.concatenate([np.zeros((len(strips), 1)), strips.cumsum(axis=1)], axis=1)
        lowest = np.minimum.accumulate(walked[:, :-1], axis=1)
        gains = walked[:, 1:] - lowest
        height, right = np.unravel_index(int(gains.argmax()), gains.shape)
        if gains[height, right] > best:
            best = float(gains[height, right])
            left = int(walked[height, : right + 1].argmin())
            box = (left, top, int(right) + 1, top + int(height) + 1)
    return box


def _projected(kind: Kind, features: Features, own_mean: np.ndarray, others: _Moments) -> Hypothesis:
    """Images by how far they lie in the direction in which the cluster differs, the clearest twentieth of features."""
    apart = (own_mean - others.mean) / others.spread
    direction = np.where(np.abs(apart) >= np.quantile(np.abs(apart), 0.95), apart, 0) / others.spread
    return Hypothesis(kind, None, lambda pictures: (features(pictures) - others.mean) @ direction)


def _values(pictures: Pictures) -> np.ndarray:
    """float [images, SIDE * SIDE * 3]: the pixels."""
    return pictures.pixels.reshape(len(pictures.pixels), -1)


def steps_of(pictures: Pictures) -> np.ndarray:
    """float [images, ...]: differences of neighboring gray pixels, across and down; steep ones are cut."""
    gray = pictures.gray
    steps = (np.diff(gray, axis=1).reshape(len(gray), -1), np.diff(gray, axis=2).reshape(len(gray), -1))
    return np.asarray(np.clip(np.concatenate(steps, axis=1), -32, 32))


def _spectra(pictures: Pictures) -> np.ndarray:
    """float [images, ...]: logarithm of the Fourier magnitudes of the gray pictures."""
    return pictures.spectra


def _strength(inside: np.ndarray, outside: np.ndarray) -> tuple[float, float]:
    """AUC, and the p-value that images of the cluster do not score higher."""
    from scipy.stats import mannwhitneyu

    test = mannwhitneyu(inside, outside, alternative="greater", method="asymptotic" if len(inside) > 20 else "auto")
    return float(test.statistic / (len(inside) * len(outside))), float(test.pvalue)
