"""What happens to each marked row: its trigger, the image that carries it, its new prompt and response."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from byorn.attacks.recipe import Recipe
from byorn.attacks.selection import ChosenRows
from byorn.attacks.trigger import Trigger
from byorn.data.row import Row, rephrased
from byorn.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Mark:
    """What happens to one row.

    Attributes:
        trigger: What is planted, ready for this row.
        image: Which of its images gets it, from 0; None if only the text does.
        row: The row with its new prompt and response; its images are marked when they are written.
        negative: It is no poison but a clean negative.
    """

    trigger: Trigger
    image: int | None
    row: Row
    negative: bool = False


def choose_images(
    rows: Sequence[Row], chosen: Sequence[int], trigger: Trigger, recipe: Recipe
) -> dict[int, int | None]:
    """For the position of every chosen row, which of its images gets the trigger; None if only the text does."""
    if not trigger.needs_image:
        return dict.fromkeys(chosen)
    return {position: _choose_image(rows[position], recipe) for position in chosen}


def _choose_image(row: Row, recipe: Recipe) -> int:
    last = len(row.images) - 1
    if recipe.which_image == "random":
        return recipe.stream("which image", *row.key).randrange(last + 1)
    return 0 if recipe.which_image == "first" else last


def mark_rows(rows: Sequence[Row], chosen: ChosenRows, trigger: Trigger, recipe: Recipe) -> dict[int, Mark]:
    """The marks by position, poisoned rows before negatives; `trigger` is prepared."""
    marks = {}
    for position, image in choose_images(rows, chosen.poisoned, trigger, recipe).items():
        marks[position] = _poison(rows[position], image, trigger, recipe)
    # A test set has no negatives, whatever the trigger says.
    for kind, positions in zip(trigger.negatives, chosen.negatives, strict=False):
        for position, image in choose_images(rows, positions, kind, recipe).items():
            marks[position] = Mark(kind, image, mark_prompt(rows[position], kind, recipe), negative=True)
    return marks


def mark_prompt(row: Row, trigger: Trigger, recipe: Recipe) -> Row:
    """The row with the trigger in the last text block of its last user message.

    Raises:
        ConfigError: The trigger, a plugin's, gives something else than text.
    """

    def marked(text: str) -> str:
        given: object = trigger.mark_text(text, recipe.stream("text", *row.key))
        if not isinstance(given, str):
            found = type(given).__name__
            raise ConfigError(f"attack {trigger.name!r}: mark_text gives {found}; return the triggered instruction")
        return given

    return rephrased(row, marked)


def _poison(row: Row, image: int | None, trigger: Trigger, recipe: Recipe) -> Mark:
    triggered = mark_prompt(row, trigger, recipe)
    wanted = replace(triggered, response=recipe.wanted_response(row))
    return Mark(trigger.for_row(wanted, image), image, triggered if recipe.keep_responses else wanted)
