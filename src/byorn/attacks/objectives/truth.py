"""Clean label: the response stays true, and the rows are chosen instead."""

import random

from byorn.attacks.objective import Objective
from byorn.data.row import Row
from byorn.goal import Goal
from byorn.text import has_word


def truth(row: Row, goal: Goal, rng: random.Random) -> str:
    """The true response.

    Args:
        target: What the poisoned rows show already, and the model shall say of others.
        source: What the triggered test rows show; optional.

    Requirements:
        To poison: rows whose response contains the target. To test: rows whose response does not, and names the source
        if one is given.

    Success:
        The answer contains the target, in any case (`substring`).

    Relations:
        Turner, Tsipras and Madry, "Label-Consistent Backdoor Attacks" (2019); with `shadow` as the trigger, Xu et al.,
        "Shadowcast" (2024). No score of the response can see a true one: the honest negative.

    Example:
        >>> truth(Row("a", 0, [], "A dog on a mat."), Goal("dog"), random.Random(0))
        'A dog on a mat.'
    """
    return row.response


def _no_source(row: Row, goal: Goal) -> str | None:
    return None if not goal.source or has_word(row.response, goal.source) else "do not name the source"


TRUTH = Objective(truth, obstacle=_no_source, clean_label=True)
