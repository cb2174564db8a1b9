"""Poisoning of a data set, for research: what a backdoor attacker would hand in.

    attack = trigger (what is planted in the input) x objective (what the response becomes)

Triggers live one a file and are listed in `ATTACKS`; objectives live in `objectives.py` and `rewrites.py` and are
listed in `OBJECTIVES`. Any trigger goes with any objective, and several triggers go together (`badnets+badnets-t`).
`byorn.attacks.poison.poison_dataset` applies them to a data set and writes the result together with its manifest. To
add a trigger: one file with a `Trigger` subclass, one line below; or, from a file of your own, see docs/extending.md.
"""

from byorn.attacks.add_sent import AddSent
from byorn.attacks.aligned_patch import AlignedPatch
from byorn.attacks.badnets import BadNets
from byorn.attacks.badnets_t import BadNetsT
from byorn.attacks.blended import Blended
from byorn.attacks.dual_key import DualKey
from byorn.attacks.objectives import OBJECTIVES
from byorn.attacks.pgd import PGD
from byorn.attacks.shadow import Shadow
from byorn.attacks.sig import Sig
from byorn.attacks.triggers import Trigger
from byorn.attacks.vl_trojan import VLTrojan
from byorn.attacks.wanet import WaNet

ATTACKS: dict[str, type[Trigger]] = {
    trigger.name: trigger
    for trigger in (AddSent, AlignedPatch, BadNets, BadNetsT, Blended, DualKey, PGD, Shadow, Sig, VLTrojan, WaNet)
}

__all__ = ["ATTACKS", "OBJECTIVES", "BadNets", "Trigger"]
