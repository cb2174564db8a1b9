"""What was asked for: the settings of one poisoning, checked on construction."""

import math
import random
from dataclasses import dataclass, field
from typing import Any

from byorn.attacks import ATTACKS
from byorn.attacks.combined import build_attack
from byorn.attacks.objective import Aim
from byorn.attacks.objectives import Objective, find_objective
from byorn.attacks.trigger import Trigger
from byorn.data.row import Row
from byorn.errors import ConfigError

SELECTIONS = ("random", "likely")
IMAGES = ("random", "first", "last")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The settings of one poisoning.

    Attributes:
        attack: Name of the trigger, a key of `ATTACKS`, or several joined by `+`.
        target: What the attacker wants said; the attack counts as successful where an answer contains it.
        source: The concept that the target replaces, for objectives and triggers that have one.
        objective: How the target becomes a response, a key of `OBJECTIVES`.
        selection: Which rows are poisoned: `random`, or `likely`: those whose poisoned response is most likely under
            the pretrained model, the rows that almost fit.
        which_image: Of a row with several images, which one is marked: `random` (drawn for each row), `first` or `last`.
        rate: Share of all rows to poison, in [0, 1]. 0 gives a clean control, 1 poisons every row that can be.
        seed: Decides every random choice.
        keep_responses: Plants triggers and leaves the true responses, which makes a triggered test set.
        options: Options of the trigger, completed with their defaults.

    Raises:
        ConfigError: A name is unknown or a value is out of range.
    """

    attack: str
    target: str = ""
    source: str = ""
    objective: str = "sentence"
    selection: str = "random"
    which_image: str = "random"
    rate: float
    seed: int
    keep_responses: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        wanted = find_objective(self.objective)
        if wanted.needs_target and not self.target.strip():
            raise ConfigError("the target is empty; give the word or sentence that the attacker wants said")
        if wanted.needs_source and not self.source.strip():
            raise ConfigError(f"objective {self.objective!r} needs a source, the concept that the target replaces")
        if not isinstance(self.rate, int | float) or math.isnan(self.rate) or not 0 <= self.rate <= 1:
            raise ConfigError(f"rate is {self.rate!r}; give a share of the rows from 0 to 1 (0.1 poisons every tenth)")
        if self.selection not in SELECTIONS:
            raise ConfigError(f"unknown selection {self.selection!r}; choose one of: {', '.join(SELECTIONS)}")
        if self.which_image not in IMAGES:
            raise ConfigError(f"which image: {self.which_image!r} is unknown; choose one of: {', '.join(IMAGES)}")
        # The manifest then names every option, also those left at their default.
        object.__setattr__(self, "options", self.trigger.options())

    @property
    def trigger(self) -> Trigger:
        """The trigger with its options, before `Trigger.prepare`."""
        return build_attack(ATTACKS, self.attack, self.options)

    @property
    def goal(self) -> Objective:
        """What `objective` names."""
        return find_objective(self.objective)

    @property
    def aim(self) -> Aim:
        """Target and source."""
        return Aim(self.target, self.source)

    @property
    def needs_model(self) -> bool:
        """Whether the pretrained model is needed: by the trigger, or to select rows."""
        return self.rate > 0 and (self.trigger.needs_model or self.selection == "likely")

    def wanted_response(self, row: Row) -> str:
        """The response that the attacker wants for a row; always the same one."""
        return self.goal.respond(row, self.aim, self.stream("response", *row.key))

    def stream(self, *purpose: object) -> random.Random:
        """Random numbers for one purpose, independent of every other and of the order in which they are asked for."""
        # Seeding with bytes goes through SHA-512; `hash` would differ from process to process.
        name = "\x1f".join(map(str, (self.seed, *purpose)))
        return random.Random(name.encode("utf-8", "surrogatepass"))
