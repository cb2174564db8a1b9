"""Poisoning of a data set, for research: what a backdoor attacker would hand in.

    attack = trigger (what is planted in the input) x objective (what the response becomes)

Triggers live one a file and are listed in `ATTACKS`; objectives live in `objectives.py` and are listed in `OBJECTIVES`.
Any trigger goes with any objective. `byorn.attacks.poison.poison_dataset` applies a pair to a data set and writes the
result together with its manifest. To add a trigger: one file with a `Trigger` subclass, one line below.
"""

from byorn.attacks.badnets import BadNets
from byorn.attacks.objectives import OBJECTIVES
from byorn.attacks.triggers import Trigger

ATTACKS: dict[str, type[Trigger]] = {trigger.name: trigger for trigger in (BadNets,)}

__all__ = ["ATTACKS", "OBJECTIVES", "BadNets", "Trigger"]
