"""What an experiment runs: cells, and groups of them that share their data. No torch here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from byorn.goal import Goal
from byorn.models.spec import Dtype
from byorn.pipeline.settings.defenses import FLAGGING, SAMPLING

if TYPE_CHECKING:
    from byorn.attacks.recipe import Recipe

DEFAULT: Final = "default"
"""The decay that a training chooses by its length, in experiment files, names of results and tables; None in a cell."""


@dataclass(frozen=True, kw_only=True)
class AttackEntry(Goal):
    """An entry of `attacks:`: fields of `byorn.attacks.recipe.Recipe` as the file gives them, and what counts as a
    success, by default the rule of the objective. Results record just this.
    """

    attack: str
    target: str = "banana"
    objective: str = "sentence"
    options: Mapping[str, bool | int | float | str] = field(default_factory=dict)
    convention: str = ""
    selection: Literal["random", "likely"] | None = None

    @property
    def goal(self) -> Goal:
        return Goal(self.target, self.source)


@dataclass(frozen=True, kw_only=True)
class Group:
    """Cells that share their data: one poisoned data set, scored once."""

    task: str | Mapping[str, object]
    rows: int
    test_rows: int
    model: str
    label: str
    attack: AttackEntry
    rate: float
    seed: int
    dtype: Dtype | None = None
    batch_size: int | None = None

    @property
    def slug(self) -> str:
        return f"{self.label}-r{self.rate:g}-s{self.seed}"

    @property
    def recipe(self) -> "Recipe":
        """The poisoning of the training rows."""
        from byorn.attacks.recipe import Recipe

        entry = self.attack
        return Recipe(
            attack=entry.attack,
            target=entry.target,
            source=entry.source,
            objective=entry.objective,
            selection=entry.selection or "random",
            options=dict(entry.options),
            rate=self.rate,
            seed=self.seed,
        )


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One fine-tune: what the group gives, and a defense with its settings.

    Attributes:
        group: Its data.
        defense: A name that `byorn train --defense` knows.
        options: Of the defense.
        percentile: The paper's p, in [0, 1].
        ema_decay: Of the average, in [0, 1]; None: from the length of the training (`byorn.training.decay`).
        lora_rank, lora_targets: Of the adapter.
        arguments: Fields of `ByornConfig`.
        rule: Of flagging; None: the paper's.
    """

    group: Group
    defense: str
    options: Mapping[str, object]
    percentile: float
    ema_decay: float | None = None
    lora_rank: int
    arguments: Mapping[str, object]
    lora_targets: str | None = None
    rule: Literal["evidence"] | None = None

    @property
    def label(self) -> str:
        """The defense as tables name it: with its rule, where that is not the paper's."""
        return f"{self.defense}, {self.rule}" if self.rule else self.defense

    @property
    def slug(self) -> str:
        """The name of the result file; settings that the defense does not read are not in it."""
        rule = f"-{self.rule}" if self.rule else f"-p{self.percentile:g}"
        percentile = rule if self.defense in FLAGGING else ""
        value = DEFAULT if self.ema_decay is None else f"{self.ema_decay:g}"
        decay = f"-e{value}" if self.defense in SAMPLING else ""
        return f"{self.group.label}-{self.defense}{percentile}{decay}-r{self.group.rate:g}-s{self.group.seed}"
