"""`random-drop`: leave out a random share of the rows. What a filter costs in utility when its flags know nothing.

Formula: train on n - round(share * n) rows, drawn without replacement from the run's seed.
Cost: none.
Source: the control for every filter here; 40 % are what `byorn-f` drops at the paper's p = 0.6.
"""

from typing import Annotated

import numpy as np

from byorn.defenses.plan import Case, Plan, drop, flag_rows
from byorn.settings import fraction


def random_drop(case: Case, *, share: Annotated[float, fraction] = 0.4) -> Plan:
    """Drop `share` of the rows, a number in [0, 1]."""
    count = round(share * len(case.rows))
    chosen = np.random.default_rng(case.seed).permutation(len(case.rows))[:count]
    flagged = np.isin(np.arange(len(case.rows)), chosen)
    return drop(case, flag_rows(case.rows, flagged, f"random(share={share:g})"))
