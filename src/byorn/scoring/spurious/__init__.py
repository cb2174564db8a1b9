"""Spurious features: what the inputs of some rows share, though it does not explain their responses.

A backdoor's trigger is one. Each file looks for another, and makes a column of the scores in which rows of one group
have one value (`byorn.scoring.spurious.group_column`):

    shortcut     a pattern in images, and a phrase
    trigger      a pattern in images alone
    insertion    words put into instructions
"""

from collections.abc import Callable

import numpy as np

from byorn.scoring.spurious.insertion import insertions
from byorn.scoring.spurious.scored_rows import ScoredRows
from byorn.scoring.spurious.shortcut import shortcuts
from byorn.scoring.spurious.trigger import triggers
from byorn.scoring.statistics import INSERTION, SHORTCUT, TRIGGER

Finder = Callable[[ScoredRows, float], np.ndarray | None]
"""From rows, and the corrected p-value below which a group counts, s: float64 array [n], 0 for rows of no group, else
above -log10 of that p-value. None where the rows do not tell what it takes.
"""

FINDERS: dict[str, Finder] = {SHORTCUT: shortcuts, TRIGGER: triggers, INSERTION: insertions}
