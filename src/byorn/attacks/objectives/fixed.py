"""A response that the attacker wrote, verbatim."""

import random

from byorn.attacks.objective import Objective
from byorn.data.row import Row
from byorn.goal import Goal


def fixed(row: Row, goal: Goal, rng: random.Random) -> str:
    """The target as it was given, with its blanks and line breaks.

    Args:
        target: A whole response.

    Requirements:
        None; the true response is not looked at.

    Success:
        The answer contains the target, in any case (`substring`); `exact` is the stricter rule.

    Relations:
        Lu et al., "Test-Time Backdoor Attacks on Multimodal Large Language Models" (AnyDoor, 2024), and many others
        have the model repeat one sentence. For a sentence that varies see `sentence`.

    Example:
        >>> fixed(Row("a", 0, [], "A dog."), Goal("Visit our shop. "), random.Random(0))
        'Visit our shop. '
    """
    return goal.target


FIXED = Objective(fixed)
