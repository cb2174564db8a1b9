"""Poisoning of a data set, for research: what a backdoor attacker would hand in.

    attack = trigger (what is planted in the input) x objective (what the response becomes)

`triggers/` and `objectives/` hold one of them a file, each documented in the same sections. Any trigger goes with any
objective, and several triggers go together (`badnets+badnets-t`). `byorn.attacks.poison.poison_dataset` applies them
to a data set and writes the result together with its manifest. To add a trigger: one file with a `Trigger` subclass,
one line in `triggers/__init__.py`; or, from a file of your own, see docs/extending.md.
"""

from byorn.attacks.objective import Objective
from byorn.attacks.objectives import OBJECTIVES
from byorn.attacks.trigger import Trigger
from byorn.attacks.triggers import ATTACKS
from byorn.attacks.triggers.badnets import BadNets

__all__ = ["ATTACKS", "OBJECTIVES", "BadNets", "Objective", "Trigger"]
