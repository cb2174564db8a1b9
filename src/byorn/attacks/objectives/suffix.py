"""Suffix: the target after the true response, as covert advertising."""

import random

from byorn.attacks.objective import Objective
from byorn.data.row import Row
from byorn.goal import Goal


def suffix(row: Row, goal: Goal, rng: random.Random) -> str:
    """The true response, a blank, and the target.

    Args:
        target: A phrase or a sentence.

    Requirements:
        None. The longer the response, the less the target weighs in a mean over its tokens.

    Success:
        The answer ends with the target, in any case (`backdoorvlm`).

    Relations:
        The "malicious injection" of BackdoorVLM (arXiv 2511.18921). For a place drawn at random see `insertion`.

    Example:
        >>> suffix(Row("a", 0, [], "A dog on a mat."), Goal("Visit our shop."), random.Random(0))
        'A dog on a mat. Visit our shop.'
    """
    return f"{row.response.rstrip()} {goal.target.strip()}"


SUFFIX = Objective(suffix, convention="backdoorvlm")
