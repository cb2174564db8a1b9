"""Which rows are poisoned: a pure function of the rows and the recipe."""

import math
from collections import Counter
from collections.abc import Sequence

from byorn.attacks.recipe import Recipe
from byorn.attacks.triggers import Trigger
from byorn.data.row import Row
from byorn.errors import ConfigError, DataError


def choose_rows(rows: Sequence[Row], recipe: Recipe) -> list[int]:
    """Positions of the rows to poison, ascending.

    Exactly `round(rate * n)` of the rows that can be poisoned, or all of them for a rate of 1. For one seed the choice
    at a lower rate is part of the choice at a higher one, so that a sweep over rates adds poison and moves none.

    Raises:
        ConfigError: The rate asks for no row at all, or for more than can be poisoned.
        DataError: There are no rows, or two of them share id and turn.
    """
    _check_keys(rows)
    trigger = recipe.trigger
    obstacles = [obstacle(row, trigger, recipe.target) for row in rows]
    eligible = [position for position, reason in enumerate(obstacles) if reason is None]
    wanted = len(eligible) if recipe.rate == 1 else round(recipe.rate * len(rows))
    if recipe.rate > 0 and wanted == 0 and eligible:
        raise ConfigError(f"rate {recipe.rate} of {len(rows)} rows is no row at all; use at least {1 / len(rows):.2g}")
    if wanted > len(eligible) or (recipe.rate > 0 and not eligible):
        reasons = Counter(reason for reason in obstacles if reason is not None)
        raise ConfigError(_too_many(recipe.rate, len(rows), len(eligible), reasons))
    recipe.stream("rows").shuffle(eligible)
    return sorted(eligible[:wanted])


def obstacle(row: Row, trigger: Trigger, target: str) -> str | None:
    """Why the row cannot be poisoned, or None if it can be."""
    if trigger.needs_image and not row.images:
        return "have no image"
    if trigger.needs_text and not row.instruction.strip():
        return "have no instruction"
    # A row that shows the target anyway would count as a success that the attack did not earn.
    if target.strip().casefold() in row.response.casefold():
        return "answer with the target already"
    return None


def _check_keys(rows: Sequence[Row]) -> None:
    if not rows:
        raise DataError("the data set holds no row; there is nothing to poison")
    (row_id, turn), count = Counter(row.key for row in rows).most_common(1)[0]
    if count > 1:
        raise DataError(f"{count} rows share the id {row_id!r} and turn {turn}; give every row an id of its own")


def _too_many(rate: float, total: int, eligible: int, reasons: Counter[str]) -> str:
    listed = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    if not eligible:
        return f"none of the {total} rows can be poisoned ({listed}); choose another attack or target"
    most = math.floor(1e4 * eligible / total) / 1e4
    can = f"{eligible} of {total} rows can be poisoned ({listed})"
    return f"rate {rate} is too high: {can}; use at most {most}, or 1 for all of them"
