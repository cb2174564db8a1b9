"""Planting an attack in a few rows of a large data set: only the rows that it marks are written.

out/rows.jsonl, images/, manifest.json, manifest.jsonl    as `byorn.attacks.poison`, of the marked rows alone
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from byorn.attacks.manifest import Manifest
from byorn.attacks.poison import poison_dataset
from byorn.attacks.recipe import Recipe
from byorn.attacks.selection import choose_rows
from byorn.data.row import Row

if TYPE_CHECKING:
    from transformers import PreTrainedModel, ProcessorMixin


def plant(
    rows: Sequence[Row],
    recipe: Recipe,
    out: Path,
    *,
    model: "PreTrainedModel | None" = None,
    processor: "ProcessorMixin | None" = None,
) -> Manifest:
    """Write the rows that `recipe` marks among `rows`, clean negatives included; the others are left where they are.

    Args:
        rows: The data set, which the rate of the recipe is of.
        recipe: The attack; its rows are drawn at random.
        out: Folder to write, which must be new or empty.
        model, processor: For a trigger that is optimized.

    Raises:
        ByornError: As `poison_dataset`.
    """
    chosen = choose_rows(rows, recipe)
    marked = sorted([*chosen.poisoned, *(position for kind in chosen.negatives for position in kind)])
    # of these, all are poisoned or negatives: one of each kind for every poisoned one
    own = replace(recipe, rate=1 / (1 + len(chosen.negatives)))
    subset = [rows[position] for position in marked]
    return poison_dataset(subset, own, out=out, model=model, processor=processor, progress=True)
