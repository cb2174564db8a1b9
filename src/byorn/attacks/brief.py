"""What an attacker knows before the first row is marked: the clean rows, which of them get marked, and the model."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from PIL import Image

from byorn.attacks.imaging.reading import load_image
from byorn.attacks.optimized.surrogate import CANVAS, Surrogate
from byorn.data.row import Row
from byorn.errors import ConfigError
from byorn.goal import Goal


@dataclass(frozen=True, kw_only=True)
class Brief:
    """What `Trigger.prepare` is given.

    Attributes:
        rows: The data set, clean.
        chosen: Position of each row to poison, and which of its images gets marked (None: the text alone).
        goal: What the attacker wants.
        clean_label: Whether responses stay true, as `Objective.clean_label` says.
        keep_responses: Whether a test set is made, which keeps its true responses.
        wanted_response: Row -> the response that the attacker wants.
        stream: Purpose -> random numbers for it.
        model: The model that is attacked, if one was passed.
    """

    rows: Sequence[Row]
    chosen: Mapping[int, int | None]
    goal: Goal
    clean_label: bool
    keep_responses: bool
    wanted_response: Callable[[Row], str]
    stream: Callable[[str], random.Random]
    model: Surrogate | None = None

    @property
    def surrogate(self) -> Surrogate:
        """The model; it is there for a trigger that says so in `needs_model`."""
        if self.model is None:
            raise ConfigError("this trigger is optimized on a model; pass --model NAME")
        return self.model

    def wanted(self, position: int) -> Row:
        """The row at a position with the response that the attacker wants, its input still clean."""
        return replace(self.rows[position], response=self.wanted_response(self.rows[position]))

    def pictures(self, count: int) -> list[Image.Image]:
        """Up to `count` clean images in RGB, those to be marked first, all stretched to one square.

        Its side is that of the images, at most 224: a patch is then optimized at the size at which it is pasted.
        """
        places = islice(self._places(), count)
        found = [load_image(self.rows[position], index).convert("RGB") for position, index in places]
        side = min(CANVAS, max(min(image.size) for image in found))
        return [image.resize((side, side)) for image in found]

    def instructions(self, count: int) -> list[str]:
        """Up to `count` different instructions of the rows to poison, in the order of the data set."""
        return list(dict.fromkeys(self.rows[position].instruction for position in self.chosen))[:count]

    def _places(self) -> Iterator[tuple[int, int]]:
        yield from ((position, index) for position, index in self.chosen.items() if index is not None)
        yield from (
            (position, 0) for position, row in enumerate(self.rows) if row.images and position not in self.chosen
        )
