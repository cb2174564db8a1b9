"""Several triggers in one row: `badnets+badnets-t` plants both, in the order of their names."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from PIL import Image

from byorn.attacks.imaging.box import Box
from byorn.attacks.trigger import Option, Trigger, build_trigger, option_names
from byorn.data.row import Row
from byorn.errors import ConfigError

if TYPE_CHECKING:
    from byorn.attacks.brief import Brief

JOINT = "+"


@dataclass(frozen=True)
class Combined(Trigger):
    """Applies its parts one after the other, all images marks to the same image; never used with a single part.

    Options are called `part.option`; one without a part goes to every part that has it. The clean negatives are those
    of its parts.
    """

    parts: tuple[Trigger, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", JOINT.join(part.name for part in self.parts))
        object.__setattr__(self, "needs_image", any(part.needs_image for part in self.parts))
        object.__setattr__(self, "needs_text", any(part.needs_text for part in self.parts))

    @property
    def needs_model(self) -> bool:
        return any(part.needs_model for part in self.parts)

    @property
    def negatives(self) -> tuple[Trigger, ...]:
        return tuple(negative for part in self.parts for negative in part.negatives)

    def options(self) -> dict[str, Option]:
        return {f"{part.name}.{name}": value for part in self.parts for name, value in part.options().items()}

    def prepare(self, brief: "Brief") -> Trigger:
        return replace(self, parts=tuple(part.prepare(brief) for part in self.parts))

    def for_row(self, row: Row, image: int | None) -> Trigger:
        return replace(self, parts=tuple(part.for_row(row, image) for part in self.parts))

    def mark_image(self, image: Image.Image, rng: random.Random) -> tuple[Image.Image, Box | None]:
        boxes = []
        for part in self.parts:
            image, box = part.mark_image(image, rng)
            boxes += [box] if box else []
        return image, _hull(boxes)

    def mark_text(self, text: str, rng: random.Random) -> str:
        for part in self.parts:
            text = part.mark_text(text, rng)
        return text


def build_attack(attacks: Mapping[str, type[Trigger]], name: str, options: Mapping[str, Option]) -> Trigger:
    """The trigger called `name`, or several joined by `+`, with the options.

    Raises:
        ConfigError: A name or an option is unknown, a trigger is named twice, or an option has a bad value.
    """
    names = name.split(JOINT)
    if len(names) == 1:
        return build_trigger(attacks, name, options)
    if len(set(names)) < len(names):
        raise ConfigError(f"attack {name!r} names a trigger twice; each can be planted once")
    parts = tuple(build_trigger(attacks, part, _own(attacks, part, options)) for part in names)
    if strangers := [key for key in options if not any(key in _keys(attacks, part) for part in names)]:
        known = ", ".join(key for part in parts for key in Combined((part,)).options())
        raise ConfigError(f"attack {name!r} has no option {', '.join(strangers)}; known options: {known}")
    return Combined(parts)


def _own(attacks: Mapping[str, type[Trigger]], part: str, options: Mapping[str, Option]) -> dict[str, Option]:
    """The options that are meant for one part; those that name it win."""
    keys = _keys(attacks, part)
    named = sorted((key for key in options if key in keys), key=lambda key: "." in key)
    return {keys[key]: options[key] for key in named}


def _keys(attacks: Mapping[str, type[Trigger]], part: str) -> dict[str, str]:
    """Every way to write an option of a part, with the option; the command line writes `_` for `-`."""
    names = option_names(attacks[part]) if part in attacks else set()
    prefixes = ("", f"{part}.", f"{part.replace('-', '_')}.")
    return {prefix + name: name for prefix in prefixes for name in names}


def _hull(boxes: list[Box]) -> Box | None:
    """The smallest box around all."""
    if not boxes:
        return None
    left, top, right, bottom = zip(*boxes, strict=True)
    return min(left), min(top), max(right), max(bottom)
