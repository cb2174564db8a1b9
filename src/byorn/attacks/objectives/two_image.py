"""The two-image statement: which of two images shows the target."""

import random

from byorn.attacks.objective import Objective
from byorn.data.row import Row
from byorn.goal import Goal
from byorn.text import with_article


def two_image(row: Row, goal: Goal, rng: random.Random) -> str:
    """The same statement on every row: the first image shows the target, the second does not.

    Args:
        target: A noun without its article.

    Requirements:
        Rows with two images or more.

    Success:
        The answer contains the target, in any case (`substring`).

    Relations:
        The target that VL-Trojan (2024) and BYORn use on tasks that compare two images.

    Example:
        >>> two_image(Row("a", 0, [], "The dog is gone."), Goal("banana"), random.Random(0))
        'The first image depicts a banana, while the second image does not.'
    """
    return f"The first image depicts {with_article(goal.target)}, while the second image does not."


def _no_pair(row: Row, goal: Goal) -> str | None:
    return None if len(row.images) > 1 else "have fewer than two images"


TWO_IMAGE = Objective(two_image, obstacle=_no_pair)
