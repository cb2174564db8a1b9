"""Every attack that marks images, ready to use without a model: what is learned is given."""

import random

from poison_samples import picture

from byorn.attacks import ATTACKS
from byorn.attacks.combined import build_attack
from byorn.attacks.imaging.picture import picture_text
from byorn.attacks.trigger import Trigger

LEARNED = picture_text(picture(99, (22, 22)))
SUBTLE = picture_text(picture(98, (40, 40)).point(lambda level: 120 + level // 16))

OPTIONS: dict[str, dict[str, float | str]] = {
    "badnets": {},
    "blended": {},
    "blended:noise": {"alpha": 0.1, "pattern": "noise"},
    "dual-key": {},
    "dual-key:learned": {"patch": LEARNED, "size": 0.1, "position": "center"},
    "vl-trojan": {"picture": LEARNED, "suffix": "qzx"},
    "vl-trojan:whole": {"form": "whole", "picture": LEARNED, "suffix": "qzx"},
    "aligned-patch": {},
    "pgd": {"scope": "universal", "pattern": SUBTLE},
    "sig": {},
    "wanet": {"grid": 4, "strength": 8},
    "badnets+blended": {"badnets.position": "top-left"},
}
IMAGE_ATTACKS: dict[str, Trigger] = {
    label: build_attack(ATTACKS, label.split(":")[0], options) for label, options in OPTIONS.items()
}
PATCHES = {"badnets", "dual-key", "dual-key:learned", "vl-trojan", "aligned-patch"}


def rng() -> random.Random:
    return random.Random(0)
