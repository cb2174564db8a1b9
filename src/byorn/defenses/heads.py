"""Attention heads as annotators: which of them tell a minority of the rows apart, and what they say of each row.

For one head, values x of all rows scaled to [0, 1]: a mixture of K Gaussians, K = 1 ... 5 with the least AIC. The
components stand in a line; the cut between two neighbors at which the two sides overlap least makes two groups, and the
lighter one is the suspicious group t, the other the background b:

    separation = 1 / (integral of min(sum_t pi_k phi_k, sum_b pi_k phi_k) dx + 1e-6),   vote_i = [p(t | x_i) > 0.5]

A group of less than 1 % of the rows is an outlier, not a group. No torch here.
"""

from typing import Any, NamedTuple

import numpy as np

COMPONENTS = 5
LEAST = 0.01
_GRID = np.linspace(-0.5, 1.5, 4001)


class Cut(NamedTuple):
    """A head's two groups: how well they are separated, and bool [rows], which rows are in the suspicious one."""

    separation: float
    suspicious: np.ndarray


def vote(values: np.ndarray, count: int) -> np.ndarray:
    """The votes of the best separated heads, bool [rows, at most `count`]; none where no head sees two groups.

    Args:
        values: float array [rows, heads].
        count: How many heads vote at most.
    """
    cuts = [cut for cut in map(best_cut, values.T) if cut is not None]
    best = sorted(cuts, key=lambda cut: -cut.separation)[:count]
    return np.array([cut.suspicious for cut in best], dtype=bool).reshape(len(best), len(values)).T


def best_cut(values: np.ndarray) -> Cut | None:
    """The groups of one head with values [rows]; None if it sees one group only."""
    if len(values) <= COMPONENTS or np.ptp(values) == 0:
        return None
    scaled = (values - values.min()) / np.ptp(values)
    mixture = _mixture(scaled)
    order = np.argsort(mixture.means_.ravel())
    density = _densities(mixture)[order]
    member = mixture.predict_proba(scaled[:, None])[:, order]
    weights = mixture.weights_[order]
    cuts = [_cut(density, member, weights, first) for first in range(1, len(order))]
    return max((cut for cut in cuts if cut is not None), key=lambda cut: cut.separation, default=None)


def _mixture(scaled: np.ndarray) -> Any:
    from sklearn.mixture import GaussianMixture

    column = scaled[:, None]
    count = min(COMPONENTS, len(np.unique(scaled)))
    fits = [GaussianMixture(number + 1, random_state=0).fit(column) for number in range(count)]
    return min(fits, key=lambda fit: fit.aic(column))


def _densities(mixture: Any) -> np.ndarray:
    """Weighted densities on the grid, [components, points]."""
    from scipy.stats import norm

    widths = np.sqrt(mixture.covariances_.ravel())
    density: np.ndarray = mixture.weights_[:, None] * norm.pdf(_GRID, mixture.means_, widths[:, None])
    return density


def _cut(density: np.ndarray, member: np.ndarray, weights: np.ndarray, first: int) -> Cut | None:
    """The two groups below component `first` and from it on; None if the lighter one is too light."""
    light = slice(None, first) if weights[:first].sum() < weights[first:].sum() else slice(first, None)
    share = float(weights[light].sum())
    if share < LEAST:
        return None
    target = density[light].sum(axis=0)
    overlap = float(np.trapezoid(np.minimum(target, density.sum(axis=0) - target), _GRID))
    return Cut(1 / (overlap + 1e-6), member[:, light].sum(axis=1) > 0.5)
