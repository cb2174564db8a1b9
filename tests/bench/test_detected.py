"""A rate of 0 or 1 leaves nothing to be told apart: the cell has its figures all the same."""

import numpy as np
import pytest

from byorn.attacks.poison import poison_dataset
from byorn.attacks.recipe import Recipe
from byorn.bench.cell import detected
from byorn.bench.spec import AttackEntry, Cell, Group
from byorn.defenses.plan import flag_rows
from byorn.flagging.table import FLAGS, write_flags
from byorn.testing import tiny_rows


@pytest.mark.parametrize(("rate", "found"), [(0.0, False), (0.5, True), (1.0, False)])
def test_detection_is_measured_where_there_are_poisoned_and_clean_rows(rate, found, tmp_path):
    rows = tiny_rows(4)
    poison_dataset(rows, Recipe(target="banana", rate=rate), out=tmp_path / "data/poisoned")
    entry = AttackEntry(attack="badnets")
    group = Group(task="t", rows=4, test_rows=2, model="m", label="b", attack=entry, rate=rate, seed=0)
    cell = Cell(group=group, defense="random-drop", options={}, percentile=0.6, lora_rank=8, arguments={})
    (tmp_path / cell.slug).mkdir()
    write_flags(tmp_path / cell.slug / FLAGS, flag_rows(rows, np.array([True, False, False, True]), "any"))
    assert [part is not None for part in detected(cell, tmp_path)] == [found, found]
