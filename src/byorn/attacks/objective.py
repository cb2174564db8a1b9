"""What an objective is: how an attacker turns a row's response into the one that the model shall learn."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from byorn.data.row import Row
from byorn.goal import Goal

Respond = Callable[[Row, Goal, random.Random], str]
Obstacle = Callable[[Row, Goal], str | None]


def no_obstacle(row: Row, goal: Goal) -> str | None:
    """Every row will do."""
    return None


@dataclass(frozen=True, slots=True)
class Objective:
    """A way to rewrite responses.

    Attributes:
        respond: The poisoned response of a row; it never sees the trigger.
        convention: The rule of `byorn.evaluation.asr` that recognizes a success.
        obstacle: Why a row cannot be given such a response ("have no ..."), or None; beside the general rule that its
            true response must not show the target.
        needs_target, needs_source: Which parts of the goal must be given.
        clean_label: Responses stay true. Rows to poison must then show the target, rows of a test set must not.
    """

    respond: Respond
    convention: str = "substring"
    obstacle: Obstacle = no_obstacle
    needs_target: bool = True
    needs_source: bool = False
    clean_label: bool = False
