"""Tests that one share is larger than another, and their correction for many looks."""

from collections.abc import Sequence


def more_often(hits: int, n: int, others: int, m: int) -> float:
    """Fisher's exact test, one side, that hits / n is the larger share: P(X >= hits) of the hypergeometric.

    Args:
        hits, n: How many of the first group have it, of how many.
        others, m: The same of the second group.
    """
    from scipy.stats import hypergeom

    return float(hypergeom.sf(hits - 1, n + m, hits + others, n)) if n and m else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values corrected for their number m, in the same order: p_(i) (m - i + 1), made monotone (Holm 1979)."""
    corrected = [1.0] * len(p_values)
    largest = 0.0
    for place, number in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, p_values[number] * (len(p_values) - place)))
        corrected[number] = largest
    return corrected
