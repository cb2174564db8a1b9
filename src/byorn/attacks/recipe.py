"""What was asked for: the settings of one poisoning, checked on construction."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from byorn.attacks.combined import build_attack
from byorn.attacks.objectives import OBJECTIVES, find_objective
from byorn.attacks.trigger import Option, Trigger
from byorn.attacks.triggers import ATTACKS
from byorn.data.row import Row
from byorn.errors import ConfigError
from byorn.goal import Goal
from byorn.runs.settings import OutputAnew
from byorn.settings import below, check_settings, fraction, setting

Selection = Literal["random", "likely"]
WhichImage = Literal["random", "first", "last"]


@dataclass(frozen=True, kw_only=True)
class Recipe(Goal):
    """The attack.

    The settings of one poisoning, checked on construction. `options` are completed with the defaults of the trigger.

    Raises:
        ConfigError: A name is unknown or a value is out of range.
    """

    attack: str = setting("badnets", help=f"trigger, or several joined by +: {', '.join(ATTACKS)}")
    objective: str = setting("sentence", help=f"how the target is said: {', '.join(OBJECTIVES)}")
    rate: float = setting(
        0.1,
        help="fraction of all rows to poison; 0 gives a clean control, 1 poisons every row that can be",
        check=fraction,
    )
    selection: Selection = setting(
        "random",
        help="which rows: random, or likely: those whose poisoned response is most likely under the pretrained model, "
        "so that they almost fit",
    )
    which_image: WhichImage = setting(
        "random", help="of a row with several images, which one is marked; random is drawn for each row"
    )
    seed: int = setting(0, help="seed of every choice", check=below(2**32))
    keep_responses: bool = setting(False, help="trigger the inputs but keep the true responses: a test set for the ASR")
    options: Mapping[str, Option] = setting(
        {},
        option="set",
        metavar="NAME=VALUE",
        help="option of the trigger, such as size=0.2, or badnets.size=0.2 where there are several",
    )

    def __post_init__(self) -> None:
        check_settings(self)
        wanted = find_objective(self.objective)
        if wanted.needs_target and not self.target.strip():
            raise ConfigError("the target is empty; give --target, the word or sentence that the attacker wants said")
        if wanted.needs_source and not self.source.strip():
            raise ConfigError(f"objective {self.objective!r} needs a --source, the concept that the target replaces")
        # The manifest then names every option, also those left at their default.
        object.__setattr__(self, "options", self.trigger.options())

    @property
    def trigger(self) -> Trigger:
        """The trigger with its options, before `Trigger.prepare`."""
        return build_attack(ATTACKS, self.attack, self.options)

    @property
    def needs_model(self) -> bool:
        """Whether the pretrained model is needed: by the trigger, or to select rows."""
        return self.rate > 0 and (self.trigger.needs_model or self.selection == "likely")

    def wanted_response(self, row: Row) -> str:
        """The response that the attacker wants for a row; always the same one.

        Raises:
            ConfigError: The objective, a plugin's, gives none.
        """
        given: object = find_objective(self.objective).respond(row, self, self.stream("response", *row.key))
        if isinstance(given, str) and given.strip():
            return given
        found = "an empty text" if isinstance(given, str) else type(given).__name__
        raise ConfigError(f"objective {self.objective!r}: it gives {found}; return the response that is to be learned")

    def stream(self, *purpose: object) -> random.Random:
        """Random numbers for one purpose, independent of every other and of the order in which they are asked for."""
        # Seeding with bytes goes through SHA-512; `hash` would differ from process to process.
        name = "\x1f".join(map(str, (self.seed, *purpose)))
        return random.Random(name.encode("utf-8", "surrogatepass"))


@dataclass(frozen=True, kw_only=True)
class PoisonSpec(OutputAnew):
    """How the poisoned copy is written."""

    out: Path = setting(
        help="folder to write, new or empty; it appears when the copy is whole, so after a kill the same command "
        "starts anew",
        metavar="DIR",
    )
    trigger_from: Path | None = setting(
        None,
        help="use the attack and its options, learned ones too, of the poisoned copy in DIR: for the test set",
        metavar="DIR",
    )
    own_images: bool = setting(
        False,
        help="write an image once for each row that shows it; else the files tell which rows are marked, where "
        "several rows show one image",
    )
    overwrite: bool = setting(False, help="replace an earlier copy in --out")
