"""Confidence intervals: Wilson for shares, the bootstrap for means.

Wilson: with p = k / n and z the normal quantile, center (p + z^2 / 2n) / (1 + z^2 / n) and half width
z sqrt(p (1 - p) / n + z^2 / 4n^2) / (1 + z^2 / n). It stays inside [0, 1] and keeps a width at p = 0 and p = 1. (Wilson
1927.)

Bootstrap: the items are drawn with replacement, their mean is taken, and percentiles of those means are the ends.
(Efron 1979.)
"""

from statistics import NormalDist

import numpy as np

from byorn.errors import ConfigError

Interval = tuple[float, float]


def wilson(successes: float, n: int, confidence: float = 0.95) -> Interval:
    """The Wilson score interval of a share, inside [0, 1]; (0, 1) where nothing was observed.

    Successes that count in part give an interval that is too wide rather than too narrow.

    Raises:
        ConfigError: `confidence` is not strictly between 0 and 1.
    """
    _check(confidence)
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = successes / n
    shrink = 1 + z * z / n
    center = (share + z * z / (2 * n)) / shrink
    half = z * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5 / shrink
    return max(0.0, min(share, center - half)), min(1.0, max(share, center + half))


def bootstrap_mean(values: np.ndarray, confidence: float = 0.95, resamples: int = 1000, seed: int = 0) -> Interval:
    """The percentile bootstrap interval of a mean, in the unit of `values`; the same seed gives the same interval.

    Raises:
        ConfigError: `confidence` is not strictly between 0 and 1, or `resamples` is below 1.
    """
    if len(values) == 0:
        return float("nan"), float("nan")
    return percentiles(resampled_means(values, resamples, seed), confidence)


def resampled_means(values: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Means over the first axis of `values` drawn with replacement: shape (resamples, *values.shape[1:])."""
    if resamples < 1:
        raise ConfigError(f"resamples is {resamples}: give at least 1.")
    rng = np.random.default_rng(seed)
    # One draw at a time: all at once would hold resamples x items numbers in memory.
    return np.array([values[rng.integers(len(values), size=len(values))].mean(axis=0) for _ in range(resamples)])


def percentiles(draws: np.ndarray, confidence: float) -> Interval:
    """The central interval that holds `confidence` of the draws."""
    _check(confidence)
    low, high = np.quantile(draws, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return float(low), float(high)


def _check(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence is {confidence}: give a number between 0 and 1, such as 0.95.")
