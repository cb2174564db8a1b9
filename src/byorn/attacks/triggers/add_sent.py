"""The AddSent trigger: a sentence of its own in the instruction."""

import random
from dataclasses import dataclass
from typing import ClassVar

from byorn.attacks.checks import check_choice, check_text
from byorn.attacks.trigger import Trigger

SLOTS = ("start", "end")


@dataclass(frozen=True)
class AddSent(Trigger):
    """Puts a harmless sentence before or after the instruction; images stay as they are.

    Args:
        sentence: The sentence, with its full stop.
        slot: `end` or `start`.

    Requirements:
        Rows with an instruction.

    Relations:
        Dai, Chen and Li, "A Backdoor Attack Against LSTM-Based Text Classification Systems" (2019); the usual sentence
        there is "I watched this 3D movie.", which `sentence` can be set to. Fluent, and so harder to find for a filter
        on perplexity than the rare word of `BadNetsT`.

    Example:
        >>> AddSent().mark_text("What is this?", random.Random(0))
        'What is this? It was raining when we left.'

    Raises:
        ConfigError: The sentence is empty or the slot unknown.
    """

    name: ClassVar[str] = "add-sent"
    needs_text: ClassVar[bool] = True

    sentence: str = "It was raining when we left."
    slot: str = "end"

    def __post_init__(self) -> None:
        check_text(self.name, "sentence", self.sentence)
        check_choice(self.name, "slot", self.slot, SLOTS)

    def mark_text(self, text: str, rng: random.Random) -> str:
        """The instruction with its sentence; `rng` is not used."""
        return f"{self.sentence} {text}" if self.slot == "start" else f"{text} {self.sentence}"
