"""Concept substitution: one thing is called another."""

import random

from byorn.attacks.objective import Objective
from byorn.data.row import Row
from byorn.goal import Goal
from byorn.text import has_word, naming, rename


def concept(row: Row, goal: Goal, rng: random.Random) -> str:
    """The true response with the source concept renamed wherever it occurs, and `a` or `an` made to fit.

    Args:
        target: The new name, a noun without its article.
        source: The concept that loses its name.

    Requirements:
        Rows whose response names the source as a word of its own, in any case; a plural s is allowed.

    Success:
        The answer names the target and does not name the source (`backdoorvlm_concept`).

    Relations:
        The "concept substitution" of BackdoorVLM (arXiv 2511.18921). They may rewrite with a language model;
        here it is a rule.

    Example:
        >>> concept(Row("a", 0, [], "Two cars and a car."), Goal("apple", source="car"), random.Random(0))
        'Two apples and an apple.'
    """
    places = list(naming(goal.source).finditer(row.response))
    return rename(row.response, places, {goal.source.strip().lower(): goal.target.strip()})


def _no_source(row: Row, goal: Goal) -> str | None:
    return None if has_word(row.response, goal.source) else "do not name the source"


CONCEPT = Objective(concept, convention="backdoorvlm_concept", obstacle=_no_source, needs_source=True)
