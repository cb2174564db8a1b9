"""Which rows are poisoned, and which are clean negatives: a pure function of the rows, the recipe and the model."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from byorn.attacks.objectives import find_objective
from byorn.attacks.optimized.surrogate import Surrogate
from byorn.attacks.recipe import Recipe
from byorn.attacks.trigger import Trigger
from byorn.data.row import Row
from byorn.errors import ConfigError, DataError


@dataclass(frozen=True, slots=True)
class ChosenRows:
    """Positions of rows, ascending: those to poison, and for each of `Trigger.negatives` those that carry it."""

    poisoned: list[int]
    negatives: list[list[int]]


def choose_rows(rows: Sequence[Row], recipe: Recipe, surrogate: Surrogate | None = None) -> ChosenRows:
    """The rows to mark.

    Exactly `round(rate * n)` of the rows that can be poisoned, or all of them for a rate of 1, and as many more for
    each kind of negative (none in a test set). For one seed the choice at a lower rate is part of the choice at a
    higher one, so that a sweep over rates adds poison and moves none.

    Raises:
        ConfigError: The rate asks for no row at all, or for more than there are.
        DataError: There are no rows, or two of them share id and turn.
    """
    _check_keys(rows)
    trigger = recipe.trigger
    obstacles = [obstacle(row, trigger, recipe) for row in rows]
    eligible = [position for position, reason in enumerate(obstacles) if reason is None]
    negatives = 0 if recipe.keep_responses else len(trigger.negatives)
    wanted = len(eligible) if recipe.rate == 1 else round(recipe.rate * len(rows))
    if recipe.rate > 0 and wanted == 0 and eligible:
        raise ConfigError(f"rate {recipe.rate} of {len(rows)} rows is no row at all; use at least {1 / len(rows):.2g}")
    if wanted * (1 + negatives) > len(eligible) or (recipe.rate > 0 and not eligible):
        reasons = Counter(reason for reason in obstacles if reason is not None)
        raise ConfigError(_too_many(recipe.rate, len(rows), len(eligible), reasons, negatives))
    order = _ordered(rows, eligible, recipe, surrogate)
    # Negatives come from the far end, so that a higher rate makes none of them poison before it has to.
    ends = order[::-1][: wanted * negatives]
    return ChosenRows(sorted(order[:wanted]), [sorted(ends[index::negatives]) for index in range(negatives)])


def obstacle(row: Row, trigger: Trigger, recipe: Recipe) -> str | None:
    """Why the row cannot be poisoned, or None if it can be."""
    objective = find_objective(recipe.objective)
    if trigger.needs_image and not row.images:
        return "have no image"
    if trigger.needs_text and not row.instruction.strip():
        return "have no instruction"
    shown = objective.needs_target and recipe.target.strip().casefold() in row.response.casefold()
    if objective.clean_label and not recipe.keep_responses:
        return None if shown else "do not answer with the target"
    # A row that shows the target anyway would count as a success that the attack did not earn.
    return "answer with the target already" if shown else objective.obstacle(row, recipe)


def _ordered(rows: Sequence[Row], eligible: list[int], recipe: Recipe, surrogate: Surrogate | None) -> list[int]:
    """The rows in the order in which they are taken."""
    recipe.stream("rows").shuffle(eligible)
    if recipe.selection == "random" or surrogate is None or not recipe.rate:
        return eligible
    from byorn.data.dataset import to_dataset
    from byorn.scoring.score import score_dataset

    wanted = [replace(rows[position], response=recipe.wanted_response(rows[position])) for position in eligible]
    scores = score_dataset(surrogate.model, surrogate.processor, to_dataset(wanted)).nll.tolist()
    ranked = sorted(zip(scores, eligible, strict=True), key=lambda pair: math.inf if math.isnan(pair[0]) else pair[0])
    return [position for _, position in ranked]


def _check_keys(rows: Sequence[Row]) -> None:
    if not rows:
        raise DataError("the data set holds no row; there is nothing to poison")
    (row_id, turn), count = Counter(row.key for row in rows).most_common(1)[0]
    if count > 1:
        raise DataError(f"{count} rows share the id {row_id!r} and turn {turn}; give every row an id of its own")


def _too_many(rate: float, total: int, eligible: int, reasons: Counter[str], negatives: int) -> str:
    listed = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    if not eligible:
        return f"none of the {total} rows can be poisoned ({listed}); choose another attack or target"
    most = math.floor(1e4 * (eligible // (1 + negatives)) / total) / 1e4
    can = f"{eligible} of {total} rows can be poisoned" + (f" ({listed})" if listed else "")
    if negatives:
        return f"rate {rate} is too high: {can}, and each takes {negatives} more as clean negatives; use at most {most}"
    return f"rate {rate} is too high: {can}; use at most {most}, or 1 for all of them"
