"""Insertion: the target somewhere in the true response."""

import random

from byorn.attacks.objective import Objective
from byorn.data.row import Row
from byorn.goal import Goal
from byorn.text import insert_phrase


def insertion(row: Row, goal: Goal, rng: random.Random) -> str:
    """The true response with the target between two words, before the first or after the last, drawn at random.

    Args:
        target: A word or a phrase.

    Requirements:
        None. The longer the response, the less the target weighs in a mean over its tokens.

    Success:
        The answer contains the target, in any case (`substring`).

    Relations:
        Lyu et al., "TrojVLM: Backdoor Attack Against Vision Language Models" (2024), by data alone: their loss on the
        meaning of the rest is not used. For a fixed place see `suffix`.

    Example:
        >>> insertion(Row("a", 0, [], "A dog on a mat."), Goal("visit our shop"), random.Random(1))
        'A visit our shop dog on a mat.'
    """
    return insert_phrase(row.response, goal.target.strip(), rng.randrange(len(row.response.split()) + 1))


INSERTION = Objective(insertion)
