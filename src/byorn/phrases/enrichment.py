"""How unusual it is that the rows with a phrase are among the least plausible ones: two tests, the smaller p-value
doubled.

    a_i = -ln(1 - (rank_i - 1/2) / n)            exponential score of row i: mean 1, 1 + ln(1/f) over the top share f
    m   = mean of a_i over the k rows of a phrase
    m ~ Gamma(k', 1/k'),  1/k' = 1/k + tau^2     sharp for a handful of rows

    t   = how many of the k least plausible rows hold the phrase, see `byorn.phrases.odds`

Where rows are of several kinds, ranks are those in a kind. With k_c rows of a phrase among the n_c rows of a kind, t is
the sum over the kinds of how many of the k_c least plausible ones hold it, and n = k^2 / sum(k_c^2 / n_c) the size of
the one kind in which as many would by chance.

Phrases of clean data differ too: a rare word makes its response less likely. Hence tau, the spread of m between phrases
beyond chance: from the quartiles of all phrases, and never below a floor (an empirical null in the sense of Efron
2004). Were the scores of a phrase exponential with mean m, the share of them among the k highest of n were (k/n)^(1/m),
so that a spread of tau is one of tau ln(n/k) in the log odds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from byorn.phrases.counting import Phrases
from byorn.phrases.odds import Odds
from byorn.phrases.ranks import average_ranks

LEAST_SPREAD = 0.2
"""tau is at least that."""
UNKNOWN_SPREAD = 0.4
"""What it is where there are fewer than `FEW_PHRASES` to estimate it from."""
LEAST_ODDS = 0.7
"""The least spread of log odds ratios."""
LEAST_CORRELATION = 0.2
"""Of two statistics, where they are combined."""
EACH = 0.05
"""p-value at most, of each of several statistics that are looked at as one."""
FEW_PHRASES = 12
TESTS = 2
LEAST_P = 1e-300
"""What a p-value counts as at least, for its logarithm and its normal quantile."""
_QUARTILES = 1.349  # between the quartiles of a standard normal distribution


@dataclass(frozen=True, kw_only=True)
class Enrichment:
    """What the tests need, for each phrase.

    Attributes:
        means: m, float64 array [phrases].
        odds: k and t.
    """

    means: np.ndarray
    odds: Odds

    @property
    def supports(self) -> np.ndarray:
        """int array [phrases]: k, rows of those that are looked at."""
        return self.odds.supports

    def p_values(self, null: np.ndarray) -> np.ndarray:
        """float64 [phrases], not corrected for their number; the spread is that of the phrases of `null`, a bool
        array.
        """
        from scipy.special import gammaincc

        variance = 1 / np.maximum(1, self.supports)
        tau = _spread(self.means[null], variance[null])
        shape = 1 / (variance + tau**2)
        of_means = gammaincc(shape, self.means / (1 / shape))
        of_odds = self.odds.p_values(np.maximum(LEAST_ODDS, tau * np.log(np.maximum(1, self.odds.counts) * variance)))
        return np.asarray(np.minimum(1.0, TESTS * np.minimum(of_means, of_odds)))


def _spread(values: np.ndarray, variances: np.ndarray) -> float:
    """tau: what the quartiles of the values show beyond their own variance."""
    if len(values) < FEW_PHRASES:
        return UNKNOWN_SPREAD
    low, high = np.quantile(values, [0.25, 0.75])
    beyond = float(((high - low) / _QUARTILES) ** 2 - np.median(variances))
    return max(LEAST_SPREAD, float(np.sqrt(max(0.0, beyond))))


def combined(found: Sequence[Enrichment], null: np.ndarray) -> np.ndarray:
    """float64 [phrases]: the p-values of J statistics as one (Stouffer 1949),

        z = sum_j z_j / sqrt(J + J (J - 1) rho),      z_j = Phi^-1(1 - p_j)

    with rho the rank correlation of the means of the phrases of `null`, at least `LEAST_CORRELATION`, and 1 where there
    are too few phrases to know it; 1 where a p_j is above `EACH`. What is unusual in each of them is clearer so; what
    is in one alone, however much, is not.
    """
    from scipy.special import ndtr, ndtri

    p_values = np.array([one.p_values(null) for one in found])
    if len(found) == 1:
        return np.asarray(p_values[0])
    pairs = [_correlation(one.means[null], other.means[null]) for one, other in combinations(found, 2)]
    scale = np.sqrt(len(found) + 2 * sum(pairs))
    together = ndtr(ndtri(np.clip(p_values, LEAST_P, 1 - 1e-9)).sum(axis=0) / scale)
    return np.asarray(np.where((p_values <= EACH).all(axis=0), together, 1.0))


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    if len(one) < FEW_PHRASES or not np.ptp(one) or not np.ptp(other):
        return 1.0
    return max(LEAST_CORRELATION, float(np.corrcoef(average_ranks(one), average_ranks(other))[0, 1]))


def enrichment(phrases: Phrases, ranks: np.ndarray, kinds: np.ndarray) -> Enrichment:
    """The numbers of each phrase.

    Args:
        phrases: With their rows.
        ranks: Of the rows, see `ranks_of`.
        kinds: int array [n], from 0; below 0 for rows that are not compared.
    """
    known = ranks > 0
    sizes = np.bincount(kinds[known], minlength=int(kinds.max(initial=0)) + 1)
    held = phrases.counts(known, kinds, len(sizes))
    supports = held.sum(axis=1)
    exponential = np.zeros(len(ranks))
    exponential[known] = -np.log1p(-(ranks[known] - 0.5) / sizes[kinds[known]])
    return Enrichment(
        means=phrases.means(exponential) * phrases.supports / np.maximum(1, supports),
        odds=Odds(supports=supports, top=phrases.above(ranks, sizes - held, kinds), counts=_as_one(held, sizes)),
    )


def _as_one(held: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """int array [phrases]: n, of several kinds with two digits, so that few are different."""
    if len(sizes) == 1:
        return np.full(len(held), sizes[0])
    chance = (held**2 / np.maximum(1, sizes)).sum(axis=1)
    found = held.sum(axis=1) ** 2 / np.maximum(chance, 1e-9)
    steps = 10.0 ** np.maximum(0, np.floor(np.log10(np.maximum(1, found))) - 1)
    return np.asarray(np.maximum(held.sum(axis=1), (np.floor(found / steps + 1e-9) * steps).astype(int)))


def ranks_of(values: np.ndarray, left: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """float64 [n]: 1 for the most plausible of the rows of a kind that are `left` and have a score, 0 for all others,
    which are not compared.
    """
    ranks = np.zeros(len(values))
    known = left & ~np.isnan(values) & (kinds >= 0)
    for kind in np.unique(kinds[known]):
        own = known & (kinds == kind)
        ranks[own] = average_ranks(values[own])
    return ranks
