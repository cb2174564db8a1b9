"""How many of the rows that stand out are poisoned: an expected number, and a lower bound.

    expected = sum of the weights of flagged rows
    L        = how many of the m rows in groups are more plausible than a fifth of the rows in none
    at least = m (1 - q / 0.8),    q the upper end of the 95 % interval of L of m (Clopper and Pearson 1934)

Of c clean rows that say a group's phrase by chance about 0.8 c are more plausible than that; a poisoned row that is
plausible counts as a clean one, and lowers the bound. Each group is asked by the score that shows it. No torch here.
"""

from collections.abc import Sequence

import numpy as np

from byorn.phrases.groups import Group
from byorn.report.run import Run
from byorn.scoring.evidence import placed
from byorn.scoring.statistics import ADAPTED_CONTRAST

PLAUSIBLE = 0.8
"""Share of the rows in no group that are plausible; a fifth is not."""


def expected_number(run: Run) -> float:
    """How many of the flagged rows that have a score are expected to be poisoned, by their weights."""
    return float(run.flags.weight[np.isfinite(run.scores.values[run.statistic])].sum())


def least_number(run: Run, groups: Sequence[Group]) -> int:
    """How many of the rows of the groups are poisoned at least, at a confidence of 97.5 %."""
    from scipy.special import betaincinv

    inside, plausible = np.zeros(len(run.rows), dtype=bool), np.zeros(len(run.rows), dtype=bool)
    for group in groups:
        inside[group.rows] = True
    places = placed(run.scores.values)
    for group in groups:
        column = places.get(group.statistic, places[ADAPTED_CONTRAST])
        plausible[group.rows] |= ~(column[group.rows] >= np.nanquantile(column[~inside], PLAUSIBLE))
    count = int(inside.sum())
    if not count:
        return 0
    found = int(plausible.sum())
    share = betaincinv(found + 1, count - found, 0.975) if found < count else 1.0
    return max(0, int(count * (1 - share / PLAUSIBLE)))
