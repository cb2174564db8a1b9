"""What alignment is shown: pictures with their features, in fixed shares, and which of them it never sees."""

import random
from dataclasses import dataclass
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

    def only(self, wanted: list[int]) -> "Collection":
        return Collection([self.pictures[index] for index in wanted], self.tokens[wanted])


@dataclass(frozen=True)
class Corpus:
    """Pictures to learn from, and to measure on.

    Attributes:
        train: By vendor.
        twitter: Of known things, drawn by a vendor that is never shown.
        strange: Things whose names are never shown either, of every vendor.
    """

    train: dict[str, Collection]
    twitter: Collection
    strange: Collection


def load_corpus(tower: nn.Module, cache: Path) -> Corpus:
    """Everything, with features from `cache` or computed now (minutes)."""
    sources = {name: clipart() if name == "clipart" else emoji(name) for name in (*SHARES, "twitter")}
    whole = {
        name: Collection(found, views(tower, found, cache / name, name in SHARES)) for name, found in sources.items()
    }
    unseen = strange_names(whole)
    train = {name: _where(whole[name], unseen, False) for name in SHARES}
    strange = [_where(whole[name], unseen, True) for name in ("google", "clipart", "twitter")]
    joined = Collection(
        [picture for part in strange for picture in part.pictures], torch.cat([part.tokens[:, :1] for part in strange])
    )
    return Corpus(train, _where(whole["twitter"], unseen, False), joined)


def strange_names(whole: dict[str, Collection]) -> set[str]:
    """Names that alignment never reads: of emoji, the same at all vendors, and of clip art."""
    rng = random.Random("held out")
    emojis = sorted({picture.name for picture in whole["twitter"].pictures})
    art = sorted({picture.name for picture in whole["clipart"].pictures})
    return {*rng.sample(emojis, HELD_OUT_CONCEPTS), *rng.sample(art, HELD_OUT_CLIPART)}


def _where(collection: Collection, names: set[str], inside: bool) -> Collection:
    return collection.only([i for i, picture in enumerate(collection.pictures) if (picture.name in names) == inside])
