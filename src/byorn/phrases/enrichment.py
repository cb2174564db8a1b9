"""How unusual it is that the rows with a phrase are among the least plausible ones: two tests, the smaller p-value
doubled.

    a_i = -ln(1 - (rank_i - 1/2) / n)            exponential score of row i: mean 1, 1 + ln(1/f) over the top share f
    m   = mean of a_i over the k rows of a phrase
    m ~ Gamma(k', 1/k'),  1/k' = 1/k + tau^2     sharp for a handful of rows

    t   = how many of the k least plausible rows hold the phrase
    L   = ln(t (n - 2k + t) / (k - t)^2)         log odds ratio, one half added to each count
    L ~ N(0, se^2 + tau'^2)                      sharp for many rows

Phrases of clean data differ too: a rare word makes its response less likely. Hence tau and tau', the spreads of m and L
between phrases beyond chance: from the quartiles of all phrases, and never below a floor (an empirical null in the
sense of Efron 2004).
"""

from dataclasses import dataclass

import numpy as np

from byorn.phrases.counting import Phrases

LEAST_SPREADS = (0.2, 0.7)
"""tau and tau' are at least that."""
UNKNOWN_SPREADS = (0.4, 1.0)
"""What they are where there are fewer than `FEW_PHRASES` to estimate them from."""
FEW_PHRASES = 12
TESTS = 2
_QUARTILES = 1.349  # between the quartiles of a standard normal distribution


@dataclass(frozen=True, kw_only=True)
class Enrichment:
    """What the tests need, for each phrase: arrays [phrases].

    Attributes:
        supports: k, rows of those that are looked at.
        means: m.
        means_variance: 1 / k.
        log_odds, log_odds_variance: L and se^2.
    """

    supports: np.ndarray
    means: np.ndarray
    means_variance: np.ndarray
    log_odds: np.ndarray
    log_odds_variance: np.ndarray

    def p_values(self, null: np.ndarray) -> np.ndarray:
        """float64 [phrases], not corrected for their number; spreads are those of the phrases of `null`, a bool
        array.
        """
        from scipy.stats import gamma, norm

        tau = _spread(self.means[null], self.means_variance[null], LEAST_SPREADS[0], UNKNOWN_SPREADS[0])
        shape = 1 / (self.means_variance + tau)
        of_means = gamma.sf(self.means, shape, scale=1 / shape)
        tau = _spread(self.log_odds[null], self.log_odds_variance[null], LEAST_SPREADS[1], UNKNOWN_SPREADS[1])
        of_odds = norm.sf(self.log_odds / np.sqrt(self.log_odds_variance + tau))
        return np.asarray(np.minimum(1.0, TESTS * np.minimum(of_means, of_odds)))


def _spread(values: np.ndarray, variances: np.ndarray, least: float, unknown: float) -> float:
    """tau^2: what the quartiles of the values show beyond their own variance."""
    if len(values) < FEW_PHRASES:
        return unknown**2
    low, high = np.quantile(values, [0.25, 0.75])
    return max(least**2, float(((high - low) / _QUARTILES) ** 2 - np.median(variances)))


def enrichment(phrases: Phrases, ranks: np.ndarray) -> Enrichment:
    """The numbers of each phrase.

    Args:
        phrases: With their rows.
        ranks: Of the rows, see `ranks_of`.
    """
    count = int((ranks > 0).sum())
    supports = np.rint(phrases.means((ranks > 0).astype(float)) * phrases.supports).astype(int)
    known = np.maximum(1, supports)
    exponential = -np.log1p(-np.clip(ranks - 0.5, 0, count - 0.5) / max(1, count))
    top = phrases.above(ranks, count - supports)
    held, missed, rest = top + 0.5, known - top + 0.5, np.maximum(0, count - 2 * supports + top) + 0.5
    return Enrichment(
        supports=supports,
        means=phrases.means(exponential) * phrases.supports / known,
        means_variance=1 / known,
        log_odds=np.log(held * rest / missed**2),
        log_odds_variance=1 / held + 2 / missed + 1 / rest,
    )


def ranks_of(values: np.ndarray, left: np.ndarray) -> np.ndarray:
    """float64 [n]: 1 for the most plausible of the rows that are `left` and have a score, 0 for all others, which are
    not compared.
    """
    from scipy.stats import rankdata

    ranks = np.zeros(len(values))
    known = left & ~np.isnan(values)
    ranks[known] = rankdata(values[known])
    return ranks
