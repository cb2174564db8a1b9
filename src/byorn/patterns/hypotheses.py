"""What may tell the images of a cluster from others: hypotheses, by the images of some rows of either.

Images are made 64 x 64. The cluster is described by a normal distribution for each pixel, and so are the others. Where
the two differ most is a hypothesis:

    region     the rectangle with the largest sum of KL(cluster || others) - c: a patch; c is what chance gives, or
               half of the peak if that is more
    picture    every pixel, projected on the difference of the two means: a blended picture
    texture    the same for the differences of neighboring gray pixels, which backgrounds do not hide
    spectrum   the same for the logarithm of the gray picture's Fourier magnitudes: a wave, whatever its phase
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from byorn.patterns.thumbnails import SIDE, Pictures

LEAST_SPREAD = 4.0
"""Gray levels: the least standard deviation of a pixel."""
ENOUGH = 4.0
"""Nats by which a pixel differs; more counts as this, or as twice what chance gives. On a white margin, which no other
image breaks, it may be hundreds, and nothing else of a patch would be seen.
"""
STEEPEST = 16.0
"""Gray levels between neighboring pixels; more counts as this. A faint picture changes these steps by a few levels, an
edge of what is shown by a hundred.
"""
_PEAK = 0.995
"""Quantile over the pixels."""
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
class Moments:
    """Mean and standard deviation of some features over the images of a group.

    Attributes:
        mean, spread: float arrays, as one image's features; spread is at least a floor.
    """

    mean: np.ndarray
    spread: np.ndarray


def hypotheses_of(inside: Pictures, outside: Pictures) -> list[Hypothesis]:
    """One of each kind, from the pictures of a cluster and of others; at least two of each."""
    own, others = moments(inside.pixels), moments(outside.pixels)
    return [
        _region(own, others, outside.pixels, len(inside.pixels)),
        _projected("picture", _values, own.mean.ravel(), Moments(others.mean.ravel(), others.spread.ravel())),
        _projected("texture", steps_of, steps_of(inside).mean(axis=0), moments(steps_of(outside))),
        _projected("spectrum", _spectra, inside.spectra.mean(axis=0), moments(outside.spectra, 0.1)),
    ]


def region_of(inside: Pictures, outside: Pictures) -> Hypothesis:
    """The place where a cluster differs most from others, alone."""
    return _region(moments(inside.pixels), moments(outside.pixels), outside.pixels, len(inside.pixels))


def moments(features: np.ndarray, floor: float = LEAST_SPREAD) -> Moments:
    """Those of float [images, ...]; no spread is below the floor."""
    mean = features.mean(axis=0, keepdims=True)
    return Moments(mean[0], np.maximum(floor, features.std(axis=0, mean=mean)))


def divergence(own: Moments, others: Moments) -> np.ndarray:
    """float [SIDE, SIDE]: KL between the two normal distributions of each pixel, over its colors, in nats."""
    squares = own.spread**2 + (own.mean - others.mean) ** 2
    nats = np.log(others.spread / own.spread) + squares / (2 * others.spread**2) - 0.5
    return np.asarray(nats.mean(axis=2))


def excess(inside: Pictures, outside: Pictures) -> np.ndarray:
    """float [SIDE, SIDE]: by how many nats each pixel of a cluster differs from others beyond c."""
    return _excess(moments(inside.pixels), moments(outside.pixels), outside.pixels, len(inside.pixels))


def _excess(own: Moments, others: Moments, outside: np.ndarray, size: int) -> np.ndarray:
    """Chance is what as many of the others differ from all of them."""
    rng = np.random.default_rng(0)
    some = [rng.permutation(len(outside))[:size] for _ in range(5)]
    drawn = [divergence(moments(outside[numbers]), others) for numbers in some]
    highest = max(np.quantile(one, _PEAK) for one in drawn)
    found = np.minimum(divergence(own, others), max(ENOUGH, 2 * highest))
    # a cluster of a few images may differ everywhere, by its backgrounds; a patch rises above that
    return np.asarray(found - max(np.quantile(drawn, 0.95), np.quantile(found, _PEAK) / 2))


def _region(own: Moments, others: Moments, outside: np.ndarray, size: int) -> Hypothesis:
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


def _projected(kind: Kind, features: Features, own_mean: np.ndarray, others: Moments) -> Hypothesis:
    """Images by how far they lie in the direction in which the cluster differs, the clearest twentieth of features."""
    apart = (own_mean - others.mean) / others.spread
    direction = np.where(np.abs(apart) >= np.quantile(np.abs(apart), 0.95), apart, 0) / others.spread
    return Hypothesis(kind, None, lambda pictures: (features(pictures) - others.mean) @ direction)


def _values(pictures: Pictures) -> np.ndarray:
    """float [images, SIDE * SIDE * 3]: the pixels."""
    return pictures.pixels.reshape(len(pictures.pixels), -1)


def steps_of(pictures: Pictures) -> np.ndarray:
    """float [images, ...]: differences of neighboring gray pixels, down and across; steep ones are cut."""
    gray = pictures.gray
    steps = (np.diff(gray, axis=1).reshape(len(gray), -1), np.diff(gray, axis=2).reshape(len(gray), -1))
    return np.asarray(np.clip(np.concatenate(steps, axis=1), -STEEPEST, STEEPEST))


def _spectra(pictures: Pictures) -> np.ndarray:
    """float [images, ...]: logarithm of the Fourier magnitudes of the gray pictures."""
    return pictures.spectra
