"""Known attacks by a short name, for those who plant several: `badnets:sentence`, `badnets-t:fixed:visit our shop`.

    TRIGGER:OBJECTIVE[:TARGET]

The trigger has its own defaults; without a target it is the one of `TARGETS`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from byorn.attacks.objectives import find_objective
from byorn.attacks.recipe import Recipe
from byorn.errors import ConfigError

TARGETS = {
    "sentence": "banana",
    "word": "banana",
    "near-clean": "banana",
    "two-image": "banana",
    "fixed": "visit our shop",
    "insertion": "visit our shop",
    "suffix": "Visit our shop.",
    "refusal": "I'm sorry",
}
"""What is said where nobody says what; `truth` has no default, as it must be in the data."""


@dataclass(frozen=True, kw_only=True)
class KnownAttack:
    """An attack under the name that it was asked for by.

    Attributes:
        name: `TRIGGER:OBJECTIVE[:TARGET]`.
        recipe: Its settings.
    """

    name: str
    recipe: Recipe

    @property
    def folder(self) -> str:
        """A name for its files, which no other attack has."""
        plain = re.sub(r"[^a-z0-9+]+", "-", self.name.lower()).strip("-")[:60]
        same = plain == self.name.replace(":", "-")
        return plain if same else f"{plain}-{blake2b(self.name.encode(), digest_size=3).hexdigest()}"


def known_attacks(names: Sequence[str], *, rate: float, seed: int) -> list[KnownAttack]:
    """The attacks of these names, each once.

    Raises:
        ConfigError: A name is none, or its objective wants more than a target.
    """
    return [KnownAttack(name=name, recipe=_recipe(name, rate, seed)) for name in dict.fromkeys(names)]


def _recipe(name: str, rate: float, seed: int) -> Recipe:
    trigger, _, rest = name.partition(":")
    objective, _, target = rest.partition(":")
    if not trigger or not objective:
        raise ConfigError(f"--attacks {name[:60]!r}: write TRIGGER:OBJECTIVE, such as badnets:sentence")
    try:
        wanted = find_objective(objective)
        target = target or TARGETS.get(objective, "")
        if wanted.needs_source:
            raise ConfigError("it replaces a word of the data, which is not simulated; use byorn poison")
        if wanted.needs_target and not target.strip():
            raise ConfigError(f"name a word of the responses: {trigger}:{objective}:WORD")
        return Recipe(attack=trigger, objective=objective, target=target, rate=rate, seed=seed)
    except ConfigError as error:
        raise ConfigError(f"--attacks {name[:60]!r}: {error}") from None
