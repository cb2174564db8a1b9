"""The BadNets-T trigger: a rare word in the instruction."""

import random
from dataclasses import dataclass
from typing import ClassVar

from byorn.attacks.checks import check_choice, check_text
from byorn.attacks.trigger import Trigger
from byorn.text import insert_phrase

SLOTS = ("start", "end", "random")


@dataclass(frozen=True)
class BadNetsT(Trigger):
    """Puts a rare word between two words of the instruction; images stay as they are.

    Args:
        word: The word. Short and rare, so that nobody types it by chance.
        slot: `random` (between any two words, before the first or after the last), `start` or `end`.

    Requirements:
        Rows with an instruction.

    Relations:
        Kurita, Michel and Neubig, "Weight Poisoning Attacks on Pretrained Models" (2020), who use `cf`, `mn`, `bb`,
        `tq`; known as BadNets-T or BadNL where text alone carries the trigger. For a whole sentence see `AddSent`.

    Example:
        >>> BadNetsT(slot="start").mark_text("What is this?", random.Random(0))
        'cf What is this?'

    Raises:
        ConfigError: The word is empty or the slot unknown.
    """

    name: ClassVar[str] = "badnets-t"
    needs_text: ClassVar[bool] = True

    word: str = "cf"
    slot: str = "random"

    def __post_init__(self) -> None:
        check_text(self.name, "word", self.word)
        check_choice(self.name, "slot", self.slot, SLOTS)

    def mark_text(self, text: str, rng: random.Random) -> str:
        """The instruction with the word in it."""
        slots = len(text.split())
        position = {"start": 0, "end": slots}.get(self.slot, rng.randrange(slots + 1))
        return insert_phrase(text, self.word, position)
