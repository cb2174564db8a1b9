"""What an attacker plants in the input of a row: one trigger a file, each a frozen dataclass of its options."""

from byorn.attacks.trigger import Trigger
from byorn.attacks.triggers.add_sent import AddSent
from byorn.attacks.triggers.aligned_patch import AlignedPatch
from byorn.attacks.triggers.badnets import BadNets
from byorn.attacks.triggers.badnets_t import BadNetsT
from byorn.attacks.triggers.blended import Blended
from byorn.attacks.triggers.dual_key import DualKey
from byorn.attacks.triggers.pgd import PGD
from byorn.attacks.triggers.shadow import Shadow
from byorn.attacks.triggers.sig import Sig
from byorn.attacks.triggers.vl_trojan import VLTrojan
from byorn.attacks.triggers.wanet import WaNet

ATTACKS: dict[str, type[Trigger]] = {
    trigger.name: trigger
    for trigger in (AddSent, AlignedPatch, BadNets, BadNetsT, Blended, DualKey, PGD, Shadow, Sig, VLTrojan, WaNet)
}
