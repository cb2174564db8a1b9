"""The trigger: what an attacker plants in the input of a row, whatever the response is to become.

A trigger is a frozen dataclass: its fields are the attack's options, checked on construction. It changes the image, the
instruction or both, and inherits "no change" for the rest. It never sees the response; that is the objective's part
(`objectives.py`).
"""

import random
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from PIL import Image

from byorn.errors import ConfigError

Box = tuple[int, int, int, int]
"""Where an image was changed: left, top, right, bottom in pixels, the last two exclusive (as Pillow counts)."""


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

    def mark_image(self, image: Image.Image, rng: random.Random) -> tuple[Image.Image, Box | None]:
        """The triggered copy of `image`, of the same size and mode, and where it differs; `image` stays as it is.

        Modes that occur: 1, L, LA, P (always 256 palette entries), RGB, RGBA, CMYK.
        """
        return image, None

    def mark_text(self, text: str, rng: random.Random) -> str:
        """The triggered instruction: `text` is the last text block of the last user message."""
        return text


def build_trigger(kinds: dict[str, type[Trigger]], name: str, options: dict[str, Any]) -> Trigger:
    """The trigger called `name` with its options.

    Raises:
        ConfigError: The name or an option is unknown, or an option has a bad value.
    """
    if name not in kinds:
        raise ConfigError(f"unknown attack {name!r}; choose one of: {', '.join(sorted(kinds))}")
    known = {field.name for field in fields(kinds[name])}
    if unknown := sorted(str(option) for option in options if option not in known):
        hint = f"known options: {', '.join(sorted(known))}" if known else "it has none"
        raise ConfigError(f"attack {name!r} has no option {', '.join(unknown)}; {hint}")
    return kinds[name](**options)
