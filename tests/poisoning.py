"""Poisoning in one call, for tests that vary one setting at a time."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from byorn.attacks.manifest import Manifest
from byorn.attacks.poison import poison_dataset
from byorn.attacks.recipe import Recipe
from byorn.data.row import Row

WRITING = ("model", "processor", "share_images", "overwrite", "progress")


def poison(rows: Sequence[Row], *, out: Path, **given: Any) -> Manifest:
    """`poison_dataset`, with the fields of the recipe and the arguments of writing mixed."""
    writing = {name: given.pop(name) for name in WRITING if name in given}
    return poison_dataset(rows, Recipe(**given), out=out, **writing)
