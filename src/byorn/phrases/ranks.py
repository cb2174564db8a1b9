"""Ranks of values. What tests need of a normal distribution is in `scipy.special`; `scipy.stats`, which has this too,
takes half a second to import.
"""

import numpy as np


def average_ranks(values: np.ndarray) -> np.ndarray:
    """float64 [n]: 1 for the least value; equal values share the mean of their ranks. NaN have no ranks: leave them
    out.
    """
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[place])
