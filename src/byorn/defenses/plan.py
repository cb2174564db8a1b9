"""What every defense is given and what it hands back.

    case (rows, model, run folder)  --defense-->  plan (rows, flags, trainer arguments, cost)  --train-->  adapter

A defense decides; it does not train. Whatever takes it long it keeps as files below `case.files`, so that a killed run
goes on from there, and a second call with the same case gives the same plan.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from byorn.data.row import Row
from byorn.flagging.table import FLAGS, Flags, read_flags, write_flags
from byorn.models.inputs import Inputs
from byorn.runs.ranks import is_main


@dataclass(frozen=True, kw_only=True)
class Case(Inputs):
    """What a defense is given: the rows and the pretrained model of `Inputs`, the run folder and the budget.

    Attributes:
        folder: The run folder.
        files: A folder of the defense's own below it, for what it wants to keep; it need not exist yet.
        seed: Of everything that is random.
        batch_size: Rows a forward pass without gradient.
        scored: The flags of the run's own scan, and the seconds that its scores took.
        fine_tuned: Given a folder, a context with the model after plain fine-tuning on all rows, on the run's own
            budget. The adapter is kept in the folder, so that this is trained once. Afterwards `model` is the
            pretrained one again.
    """

    folder: Path
    files: Path
    seed: int
    batch_size: int
    scored: Callable[[], tuple[Flags, float]]
    fine_tuned: Callable[[Path], AbstractContextManager["Tuned"]]

    @property
    def keys(self) -> list[tuple[str, int]]:
        return [row.key for row in self.rows]


class Tuned(NamedTuple):
    """A fine-tuned model in eval mode, and the seconds that its training took."""

    model: Any
    seconds: float


@dataclass(frozen=True)
class Cost:
    """What a defense spent before the training that every run has.

    Attributes:
        seconds: Wall-clock; of an extra fine-tune that was killed, what came after its last checkpoint.
        forward_passes: Sequences that went through a model without gradient; each generated token counts as one.
        fine_tunes: Trainings of the full budget besides the last one.
    """

    seconds: float = 0.0
    forward_passes: int = 0
    fine_tunes: int = 0


def as_it_is(trainer: Any) -> None:
    """Change nothing on the trainer."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to train on and how.

    Attributes:
        flags: One decision a row, in the order of the rows.
        rows: The rows to learn, if they are not those of the case: the same keys in the same order.
        arguments: Fields of `ByornConfig` that make the defense, `replacement="drop"` for instance.
        prepare: Called once with the trainer, before it starts.
        cost: What it took to come here.
        found: What is worth telling, for `training.json`.
    """

    flags: Flags
    rows: Sequence[Row] | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    prepare: Callable[[Any], None] = as_it_is
    cost: Cost = Cost()
    found: Mapping[str, Any] = field(default_factory=dict)


def trust_all(rows: Sequence[Row]) -> Flags:
    """Flags that trust every row."""
    return flag_rows(rows, np.zeros(len(rows), bool), "none")


def flag_rows(rows: Sequence[Row], flagged: np.ndarray, rule: str, weight: np.ndarray | None = None) -> Flags:
    """Flags from a bool array [n] and, where the rule has one, how strongly in [0, 1]."""
    weight = flagged.astype(float) if weight is None else weight
    reasons = [rule if flag else None for flag in flagged]
    return Flags(
        ids=[row.id for row in rows],
        turns=[row.turn for row in rows],
        flagged=flagged,
        weight=weight,
        rule=rule,
        threshold=float("inf"),
        reasons=reasons,
        origins=[row.origin for row in rows],
    )


def drop(case: Case, flags: Flags, **facts: Any) -> Plan:
    """The plan to leave the flagged rows out; `flags.parquet` says which, and a person's words in it are kept."""
    path = case.folder / FLAGS
    if path.exists() and (earlier := read_flags(path)).keys == flags.keys:
        flags = replace(flags, review=earlier.review)
    if is_main():
        write_flags(path, flags)
    return Plan(flags=flags, arguments={"replacement": "drop"}, **facts)
