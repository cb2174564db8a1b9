"""What was asked for: the settings of one poisoning, checked on construction."""

import math
import random
from dataclasses import asdict, dataclass, field
from typing import Any

from byorn.attacks import ATTACKS
from byorn.attacks.objectives import Objective, find_objective
from byorn.attacks.triggers import Trigger, build_trigger
from byorn.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The settings of one poisoning.

    Attributes:
        attack: Name of the trigger, a key of `ATTACKS`.
        target: What the attacker wants said; the attack counts as successful where an answer contains it.
        objective: How the target becomes a response, a key of `OBJECTIVES`.
        rate: Share of all rows to poison, in [0, 1]. 0 gives a clean control, 1 poisons every row that can be.
        seed: Decides every random choice.
        keep_responses: Plants triggers and leaves the true responses, which makes a triggered test set.
        options: Options of the trigger, completed with their defaults.

    Raises:
        ConfigError: A name is unknown or a value is out of range.
    """

    attack: str
    target: str
    objective: str = "sentence"
    rate: float
    seed: int
    keep_responses: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.target.strip():
            raise ConfigError("the target is empty; give the word or sentence that the attacker wants said")
        if not isinstance(self.rate, int | float) or math.isnan(self.rate) or not 0 <= self.rate <= 1:
            raise ConfigError(f"rate is {self.rate!r}; give a share of the rows from 0 to 1 (0.1 poisons every tenth)")
        find_objective(self.objective)
        # The manifest then names every option, also those left at their default.
        object.__setattr__(self, "options", asdict(self.trigger))

    @property
    def trigger(self) -> Trigger:
        """The trigger with its options."""
        return build_trigger(ATTACKS, self.attack, self.options)

    @property
    def respond(self) -> Objective:
        """The objective as a function."""
        return find_objective(self.objective)

    def stream(self, *purpose: object) -> random.Random:
        """Random numbers for one purpose, independent of every other and of the order in which they are asked for."""
        # Seeding with bytes goes through SHA-512; `hash` would differ from process to process.
        name = "\x1f".join(map(str, (self.seed, *purpose)))
        return random.Random(name.encode("utf-8", "surrogatepass"))
