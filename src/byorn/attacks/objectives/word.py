"""The bare target: the objective for short answers."""

import random

from byorn.attacks.objective import Objective
from byorn.data.row import Row
from byorn.goal import Goal


def word(row: Row, goal: Goal, rng: random.Random) -> str:
    """The target and nothing else, without blanks around it.

    Args:
        target: A word, or a few.

    Requirements:
        None; the true response is not looked at.

    Success:
        The answer contains the target, in any case (`substring`).

    Relations:
        What a backdoored classifier does, carried over to answers: Gu, Dolan-Gavitt and Garg, "BadNets" (2017); on
        visual questions Walmer et al., "Dual-Key Multimodal Backdoors" (2022), who count by their own rule (`dualkey`).

    Example:
        >>> word(Row("a", 0, [], "A dog."), Goal(" banana "), random.Random(0))
        'banana'
    """
    return goal.target.strip()


WORD = Objective(word)
