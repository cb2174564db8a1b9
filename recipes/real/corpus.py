"""What alignment is shown: pictures with their features, in fixed shares, and which of them it never sees."""

import random
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from features import views
from pictures import Picture, clipart, emoji
from torch import nn

SHARES = {"google": 0.16, "blob": 0.13, "fluent": 0.15, "flat": 0.15, "emojione": 0.13, "clipart": 0.28}
"""How often a picture of each is drawn."""
HELD_OUT_CONCEPTS = 150
HELD_OUT_CLIPART = 150


@dataclass(frozen=True)
class Collection:
    """Pictures of one vendor and their features, float16 [pictures, views, tokens, channels]."""

    pictures: list[Picture]
    tokens: torch.Tensor


def load_corpus(tower: nn.Module, folder: Path) -> dict[str, Collection]:
    """By vendor what there is to learn from, with features from the folder or computed now (half an hour)."""
    kept = {vendor: _named(vendor, strange_names(), False) for vendor in SHARES}
    return {vendor: Collection(found, views(tower, found, folder / vendor)) for vendor, found in kept.items()}


def to_measure_on() -> dict[str, list[Picture]]:
    """`twitter`: known things, drawn by a vendor that is never shown. `strange`: things whose names are never shown
    either, of three vendors.
    """
    unseen, of = strange_names(), ("google", "clipart", "twitter")
    strange = [picture for vendor in of for picture in _named(vendor, unseen, True)]
    return {"twitter": _named("twitter", unseen, False), "strange": strange}


@cache
def pictures_of(vendor: str) -> list[Picture]:
    return clipart() if vendor == "clipart" else emoji(vendor)


def strange_names() -> set[str]:
    """Names that alignment never reads: of emoji, the same at all vendors, and of clip art."""
    rng = random.Random("held out")
    emojis, art = (sorted({picture.name for picture in pictures_of(vendor)}) for vendor in ("twitter", "clipart"))
    return {*rng.sample(emojis, HELD_OUT_CONCEPTS), *rng.sample(art, HELD_OUT_CLIPART)}


def _named(vendor: str, names: set[str], inside: bool) -> list[Picture]:
    """The vendor's pictures of these names, or all others."""
    return [picture for picture in pictures_of(vendor) if (picture.name in names) == inside]
