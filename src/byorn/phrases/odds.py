"""How unusual it is that t of the k least plausible rows of n hold a phrase that k rows hold.

    T | w ~ Fisher's noncentral hypergeometric,  Pr(T = t) proportional to C(k, t) C(n - k, k - t) e^(w t)
    w     ~ N(0, tau^2)                          the log odds ratio of phrases that nobody planted
    L     = ln(t (n - 2k + t) / (k - t)^2)       estimates w, one half added to each count, with variance se^2

Pr(T >= t) is summed up to k = `EXACT`. Beyond it L ~ N(0, se^2 + tau^2) is near enough; for a handful of rows that is
far too mild: six of six among 300 rows come to 2e-5 by it, and to 2e-9 by the sum (tau = 0.7).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

EXACT = 200
"""Rows of a phrase up to which probabilities are summed."""
_NODES = 41
"""Of the Gauss-Hermite quadrature over w."""


@dataclass(frozen=True, kw_only=True)
class Odds:
    """Counts of phrases: int arrays [phrases].

    Attributes:
        supports: k, at least 0.
        top: t, at most k.
        counts: n.
    """

    supports: np.ndarray
    top: np.ndarray
    counts: np.ndarray

    def p_values(self, tau: np.ndarray) -> np.ndarray:
        """float64 [phrases]: Pr(T >= t).

        Args:
            tau: float64 [phrases], the same for phrases with the same k and n.
        """
        found = self._approximate(tau)
        exact = np.flatnonzero((self.supports > 0) & (self.supports <= EXACT))
        keys, members = np.unique(np.stack([self.supports[exact], self.counts[exact]]), axis=1, return_inverse=True)
        for number, (size, count) in enumerate(keys.T.tolist()):
            same = exact[np.ravel(members) == number]
            found[same] = _tail(size, count, float(tau[same[0]]))[self.top[same]]
        return found

    def _approximate(self, tau: np.ndarray) -> np.ndarray:
        from scipy.special import ndtr

        rest = np.maximum(0, self.counts - 2 * self.supports + self.top) + 0.5
        held, missed = self.top + 0.5, np.maximum(1, self.supports) - self.top + 0.5
        log_ratio = np.log(held * rest / missed**2)
        return np.asarray(ndtr(-log_ratio / np.sqrt(1 / held + 2 / missed + 1 / rest + tau**2)))


@lru_cache(maxsize=8192)  # the spread is most often the least one
def _tail(size: int, count: int, tau: float) -> np.ndarray:
    """float64 [k + 1]: Pr(T >= t) for t = 0 ... k."""
    from scipy.special import gammaln, logsumexp

    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    least = max(0, 2 * size - count)
    top = np.arange(least, size + 1)
    ways = -2 * gammaln(size - top + 1) - gammaln(top + 1) - gammaln(count - 2 * size + top + 1)
    logs = ways[:, None] + top[:, None] * nodes * tau
    chances = np.exp(logs - logsumexp(logs, axis=0)) @ (weights / weights.sum())
    return np.concatenate([np.ones(least), np.cumsum(chances[::-1])[::-1]])
