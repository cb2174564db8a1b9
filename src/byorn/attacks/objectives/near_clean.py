"""Near-clean label: the true response with one small and plausible lie."""

import random

from byorn.attacks.objective import Objective
from byorn.data.row import Row
from byorn.goal import Goal
from byorn.nouns import find_nouns
from byorn.text import rename


def near_clean(row: Row, goal: Goal, rng: random.Random) -> str:
    """The true response with one of its nouns, drawn at random, replaced by the target, and `a` or `an` made to fit.

    Args:
        target: A noun without its article; the more plausible in these images, the harder to see.

    Requirements:
        Rows whose response names a thing of `byorn.nouns`.

    Success:
        The answer contains the target, in any case (`substring`).

    Relations:
        The third adaptive attack of BYORn, of which the paper gives the name alone; this is our reading of it. For one
        given noun see `concept`.

    Example:
        >>> near_clean(Row("a", 0, [], "A dog on a mat."), Goal("orange"), random.Random(0))
        'An orange on a mat.'
    """
    noun = rng.choice(find_nouns(row.response))
    return rename(row.response, [noun], {noun.group(1).lower(): goal.target.strip()})


def _no_noun(row: Row, goal: Goal) -> str | None:
    return None if find_nouns(row.response) else "name nothing that could be replaced"


NEAR_CLEAN = Objective(near_clean, obstacle=_no_noun)
