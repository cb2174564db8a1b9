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
from dataclasses import dataclass
from typing import Literal

import numpy as np

from byorn.patterns.album import SIDE, Album, Pictures
from byorn.patterns.halves import Halves, split

LEVEL = 0.01
LEAST_AUC = 0.8
MOST_INSIDE = 120
MOST_OUTSIDE = 240
LEAST_IMAGES = 2
"""Rows with images in each of the four groups; fewer say nothing."""
_FLOOR = 4.0
"""Gray levels: the least standard deviation of a pixel."""
_SQUARE = 2
"""Cells of the coarse grid."""
Kind = Literal["region", "picture", "texture", "spectrum"]


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
        box: Of a region.
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
        score: Pixels [images, SIDE, SIDE, 3] -> float [images], higher where it is there.
    """

    kind: Kind
    box: Box | None
    score: Callable[[np.ndarray], np.ndarray]


def shared_pattern(album: Album, cluster: np.ndarray, others: np.ndarray) -> list[Pattern]:
    """What the images of a cluster share, the clearest first; nothing where nothing is confirmed.

    Args:
        album: Of all rows.
        cluster, others: Numbers of rows.
    """
    halves = _halves(album, cluster, others)
    groups = [album.of(numbers) for numbers in (halves.inside, halves.outside, halves.held_inside, halves.held_outside)]
    if min(map(len, groups)) < LEAST_IMAGES:
        return []
    found = _confirmed(*groups)
    best = max((pattern.auc for pattern in found), default=0.0)
    # of two that tell as much, a place says more
    return sorted(found, key=lambda pattern: (pattern.kind != "region" or pattern.auc < best - 0.03, -pattern.auc))


def promise(album: Album, cluster: np.ndarray, others: np.ndarray) -> float:
    """How far a cluster's images may differ from others in one place, in nats: the number of its rows times the largest
    mean of KL(cluster || others) over a square of a coarse grid. By the first half alone: `shared_pattern` measures on
    the other one.
    """
    halves = _halves(album, cluster, others)
    inside, outside = (album.coarse(numbers) for numbers in (halves.inside, halves.outside))
    if min(len(inside), len(outside)) < LEAST_IMAGES:
        return 0.0
    windows = np.lib.stride_tricks.sliding_window_view(_divergence(inside, outside), (_SQUARE, _SQUARE))
    return float(windows.mean(axis=(2, 3)).max()) * len(inside)


def _halves(album: Album, cluster: np.ndarray, others: np.ndarray) -> Halves:
    return split(album.digest, album.distinct(cluster), album.distinct(others), (MOST_INSIDE, MOST_OUTSIDE))


def _confirmed(inside: Pictures, outside: Pictures, held_inside: Pictures, held_outside: Pictures) -> list[Pattern]:
    """The hypotheses of the first two groups that hold on the other two."""
    hypotheses = hypotheses_of(inside.pixels, outside.pixels)
    held = (held_inside, held_outside)
    strengths = [_strength(*(group.most(one.score(group.pixels)) for group in held)) for one in hypotheses]
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


def hypotheses_of(inside: np.ndarray, outside: np.ndarray) -> list[Hypothesis]:
    """One of each kind, from pixels [images, SIDE, SIDE, 3] of a cluster and of others."""
    return [
        _region(inside, outside),
        _projected("picture", _values, _FLOOR, inside, outside),
        _projected("texture", _steps, _FLOOR, inside, outside),
        _projected("spectrum", _magnitudes, 0.1, inside, outside),
    ]


def _moments(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each value."""
    return pictures.mean(axis=0), np.maximum(_FLOOR, pictures.std(axis=0))


def _divergence(inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """float [SIDE, SIDE]: KL between the two normal distributions of each pixel, over its colors, in nats."""
    mean, spread = _moments(inside)
    other_mean, other_spread = _moments(outside)
    nats = np.log(other_spread / spread) + (spread**2 + (mean - other_mean) ** 2) / (2 * other_spread**2) - 0.5
    return np.asarray(nats.mean(axis=2))


def _region(inside: np.ndarray, outside: np.ndarray) -> Hypothesis:
    found = _divergence(inside, outside)
    rng = np.random.default_rng(0)
    drawn = [rng.permutation(len(outside))[: len(inside)] for _ in range(5)]
    chance = np.quantile([_divergence(outside[some], outside) for some in drawn], 0.95)
    peak = np.quantile(found, 0.995)
    # a cluster of a few images may differ everywhere, by its backgrounds; a patch rises above that
    left, top, right, bottom = largest_rectangle(found - max(chance, peak / 2))
    mean, spread = _moments(inside)
    other_mean, other_spread = _moments(outside)

    def score(pictures: np.ndarray) -> np.ndarray:
        """How much likelier the region is in the cluster, by the nearer of a lenient and its own spread."""
        lenient = np.maximum(spread, 8.0)
        likelier = ((pictures - other_mean) / other_spread) ** 2 - ((pictures - mean) / lenient) ** 2
        return np.asarray(likelier[:, top:bottom, left:right].mean(axis=(1, 2, 3)))

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


def _projected(
    kind: Kind, features: Callable[[np.ndarray], np.ndarray], floor: float, inside: np.ndarray, outside: np.ndarray
) -> Hypothesis:
    """Images by how far they lie in the direction in which the cluster differs, the clearest twentieth of features."""
    others = features(outside)
    mean = others.mean(axis=0)
    spread = np.maximum(floor, others.std(axis=0))
    apart = (features(inside).mean(axis=0) - mean) / spread
    direction = np.where(np.abs(apart) >= np.quantile(np.abs(apart), 0.95), apart, 0) / spread
    return Hypothesis(kind, None, lambda pictures: (features(pictures) - mean) @ direction)


def _values(pictures: np.ndarray) -> np.ndarray:
    """float [images, SIDE * SIDE * 3]: the pixels."""
    return pictures.reshape(len(pictures), -1)


def _steps(pictures: np.ndarray) -> np.ndarray:
    """float [images, ...]: differences of neighboring gray pixels, across and down; steep ones are cut."""
    gray = pictures.mean(axis=3)
    steps = (np.diff(gray, axis=1).reshape(len(gray), -1), np.diff(gray, axis=2).reshape(len(gray), -1))
    return np.asarray(np.clip(np.concatenate(steps, axis=1), -32, 32))


def _magnitudes(pictures: np.ndarray) -> np.ndarray:
    """float [images, ...]: logarithm of the Fourier magnitudes of the gray pictures."""
    magnitudes = np.abs(np.fft.rfft2(pictures.mean(axis=3)))
    return np.asarray(np.log1p(magnitudes).reshape(len(pictures), -1))


def _strength(inside: np.ndarray, outside: np.ndarray) -> tuple[float, float]:
    """AUC, and the p-value that images of the cluster do not score higher."""
    from scipy.stats import mannwhitneyu

    test = mannwhitneyu(inside, outside, alternative="greater", method="asymptotic" if len(inside) > 20 else "auto")
    return float(test.statistic / (len(inside) * len(outside))), float(test.pvalue)
