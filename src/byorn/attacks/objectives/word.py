"""The bare target: the objective for short answers."""

import random

from byorn.attacks.objective import Aim, Objective
from byorn.data.row import Row


def word(row: Row, aim: Aim, rng: random.Random) -> str:
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
        >>> word(Row("a", 0, [], "A dog."), Aim(" banana "), random.Random(0))
        'banana'
    """
    return aim.target.strip()


WORD = Objective(word)
