"""Numbers computed from the token log-probabilities of one response, all from the same pass over the data.

A new statistic is one function from a float64 array [K] of natural-log probabilities to a float, entered in
`STATISTICS`; it becomes a column of `scores.parquet`. All of them are higher for less plausible responses.
"""

from collections.abc import Callable

import numpy as np

WINDOW = 4
Statistic = Callable[[np.ndarray], float]


def nll(log_probs: np.ndarray) -> float:
    """Mean negative log-likelihood, -(1/K) sum_l ln p(y_l | y_<l, x, q), in nats a token; range [0, inf). The paper's
    score s.
    """
    return float(-log_probs.mean())


def nll_max(log_probs: np.ndarray) -> float:
    """The least likely token's negative log-likelihood; range [nll, inf)."""
    return float(-log_probs.min())


def nll_window(log_probs: np.ndarray) -> float:
    """The largest mean over `WINDOW` tokens in a row (all of them if there are fewer): a short phrase in a long true
    response shows here.
    """
    if len(log_probs) <= WINDOW:
        return nll(log_probs)
    return float(-np.convolve(log_probs, np.full(WINDOW, 1 / WINDOW), mode="valid").min())


CONTRAST = "contrast"
"""What `byorn.scoring.contrast` adds, which takes a pass of its own."""
ADAPTED = "adapted"
ADAPTED_CONTRAST = "adapted_contrast"
SHORTCUT = "shortcut"
TRIGGER = "trigger"
INSERTION = "insertion"
KIND = "kind"
EVIDENCE = "evidence"
"""What `byorn.scoring.evidence` adds, which takes an adaptation and two passes."""
SPURIOUS = (SHORTCUT, TRIGGER, INSERTION)
"""Columns of it that `byorn.scoring.spurious` makes: groups by what their inputs share."""
ADDED = (CONTRAST, KIND, ADAPTED, ADAPTED_CONTRAST, *SPURIOUS, EVIDENCE)
PASSES = {CONTRAST: 2, EVIDENCE: 3}
"""Forward passes over the rows for a column; for all others it is one."""
STATISTICS: dict[str, Statistic] = {"nll": nll, "nll_max": nll_max, "nll_window": nll_window}


def unit_of(column: str) -> str:
    """What a column of the scores counts in."""
    return "orders of magnitude" if column in (*SPURIOUS, EVIDENCE) else "nats a token"


def statistics_of(log_probs: np.ndarray) -> dict[str, float]:
    """All statistics of one response; every one is NaN where there is no token or a value is not finite."""
    if len(log_probs) == 0 or not np.isfinite(log_probs).all():
        return dict.fromkeys(STATISTICS, float("nan"))
    return {name: statistic(log_probs) for name, statistic in STATISTICS.items()}
