"""The trigger: what an attacker plants in the input of a row, whatever the response is to become.

A trigger is a frozen dataclass: its fields are the attack's options, checked on construction. It changes the image, the
instruction or both, and inherits "no change" for the rest. It never sees the response; that is the objective's part
(`objectives/`). A trigger that is optimized, or made from a file, does that once in `prepare` and keeps the outcome
in its options, so that the manifest holds the whole trigger and a test set can carry the very same one.
"""

import copy
import random
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar, TypeVar

from PIL import Image

from byorn.attacks.checks import check_flag
from byorn.attacks.imaging.box import Box
from byorn.attacks.objectives import OBJECTIVES
from byorn.data.row import Row
from byorn.errors import ConfigError

if TYPE_CHECKING:
    from byorn.attacks.brief import Brief

Kind = TypeVar("Kind", bound="Trigger")
Option = bool | int | float | str
"""The value of an option: what JSON, YAML and the command line can hold alike."""


@dataclass(frozen=True)
class Trigger:
    """Base of every trigger; override one `mark_` method or both.

    Attributes:
        name: What users call the attack; the key in `ATTACKS`.
        needs_image: Rows without an image cannot carry this trigger.
        needs_text: Rows without an instruction cannot carry this trigger.
    """

    name: ClassVar[str]
    needs_image: ClassVar[bool] = False
    needs_text: ClassVar[bool] = False

    @property
    def needs_model(self) -> bool:
        """Whether `prepare` or marking wants the model that is attacked."""
        return False

    @property
    def negatives(self) -> tuple["Trigger", ...]:
        """Triggers for clean negatives: for each, as many further rows as are poisoned carry it and keep their true
        response, so that the model learns what is *not* the trigger.
        """
        return ()

    def options(self) -> dict[str, Option]:
        """The options with their values, as they go into the manifest and come back through `build_trigger`."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.init}

    def prepare(self, brief: "Brief") -> "Trigger":
        """The trigger to plant, with what had to be loaded or learned; called once, before the first row is marked.

        `brief.surrogate` is the model if `needs_model`. Deterministic: all randomness comes from `brief.stream`.
        """
        return self

    def for_row(self, row: Row, image: int | None) -> "Trigger":
        """The trigger for one row, which has its triggered prompt and the attacker's response; `image` gets marked."""
        return self

    def mark_image(self, image: Image.Image, rng: random.Random) -> tuple[Image.Image, Box | None]:
        """The triggered copy of `image`, of the same size and mode, and where it differs; `image` stays as it is.

        Modes that occur: 1, L, LA, P (always 256 palette entries), RGB, RGBA, CMYK.
        """
        return image, None

    def mark_text(self, text: str, rng: random.Random) -> str:
        """The triggered instruction: `text` is the last text block of the last user message."""
        return text


def build_trigger(attacks: Mapping[str, type[Trigger]], name: str, options: Mapping[str, Option]) -> Trigger:
    """The trigger called `name` with its options.

    Raises:
        ConfigError: The name or an option is unknown, or an option has a bad value.
    """
    if name not in attacks:
        hint = f"; {name!r} is an objective: --objective {name}" if name in OBJECTIVES else ""
        raise ConfigError(f"unknown attack {name!r}; choose one of: {', '.join(sorted(attacks))}{hint}")
    known = option_names(attacks[name])
    if unknown := sorted(str(option) for option in options if option not in known):
        hint = f"known options: {', '.join(sorted(known))}" if known else "it has none"
        raise ConfigError(f"attack {name!r} has no option {', '.join(unknown)}; {hint}")
    for option in switches(attacks[name]) & options.keys():
        check_flag(name, option, options[option])
    return attacks[name](**options)


def switches(kind: type[Trigger]) -> set[str]:
    """The options that are true or false: to the code of a plug-in the text "false" would be true."""
    return {field.name for field in fields(kind) if field.init and field.type in (bool, "bool")}


def option_names(kind: type[Trigger]) -> set[str]:
    """What can be set on a kind of trigger."""
    return {field.name for field in fields(kind) if field.init}


def bind(trigger: Kind, **state: object) -> Kind:
    """A copy of a trigger that holds a model or a row for marking: fields that are no options (`init=False`)."""
    result = copy.copy(trigger)
    for name, value in state.items():
        object.__setattr__(result, name, value)
    return result
