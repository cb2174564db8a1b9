"""One tiny model of each family, built once; copy it, or build your own, before you change it."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from family_rows import ENDS, REFUSED, mixed_rows

from byorn.data.row import Row
from byorn.models.inputs import training_rows
from byorn.testing import build_family


@dataclass(frozen=True)
class Family:
    """A family's model and processor, the rows that it can take (their end of turn included), and its end of turn."""

    name: str
    model: Any
    processor: Any
    rows: list[Row]
    end: str


@cache
def family_of(name: str) -> Family:
    torch.set_num_threads(1)
    model, processor = build_family(name)
    rows = [row for row in mixed_rows() if row.id not in REFUSED.get(name, ())]
    return Family(name, model, processor, list(training_rows(rows, processor)), ENDS[name])
