"""Votes of annotators of unknown reliability -> the probability that each item is positive.

    E: p_i = pi prod_h a_h^v_ih (1 - a_h)^(1 - v_ih) / (the same + (1 - pi) prod_h (1 - b_h)^v_ih b_h^(1 - v_ih))
    M: pi = mean p,  a_h = sum_i p_i v_ih / sum_i p_i,  b_h = sum_i (1 - p_i) (1 - v_ih) / sum_i (1 - p_i)

starting from the share of the votes. a is an annotator's sensitivity, b the specificity; pi, a and b are kept 1e-6 off
0 and 1, so that one who was never wrong can still be overruled (Dawid and Skene, 1979, for two classes). No torch here.
"""

from typing import Any

import numpy as np

_EDGE = 1e-6


def posterior(votes: np.ndarray, rounds: int = 100, tolerance: float = 1e-6) -> np.ndarray:
    """Probabilities p, float [items], from votes, bool [items, annotators]; all 0 where nobody votes for anything."""
    if not votes.any():
        return np.zeros(len(votes))
    cast = votes.astype(float)
    found: np.ndarray = cast.mean(axis=1)
    for _ in range(rounds):
        before = found
        found = _expect(cast, found)
        if np.abs(found - before).max() < tolerance:
            break
    return found


def _expect(cast: np.ndarray, found: np.ndarray) -> np.ndarray:
    clean = 1 - found
    sensitivity = _inside(found @ cast / max(found.sum(), _EDGE))
    specificity = _inside(clean @ (1 - cast) / max(clean.sum(), _EDGE))
    share = _inside(found.mean())
    positive = np.log(share) + cast @ np.log(sensitivity) + (1 - cast) @ np.log(1 - sensitivity)
    negative = np.log(1 - share) + cast @ np.log(1 - specificity) + (1 - cast) @ np.log(specificity)
    result: np.ndarray = 1 / (1 + np.exp(np.clip(negative - positive, -700, 700)))
    return result


def _inside(value: Any) -> Any:
    return np.clip(value, _EDGE, 1 - _EDGE)
