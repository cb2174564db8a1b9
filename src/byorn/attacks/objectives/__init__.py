"""What the attacker wants the model to say once the trigger is there: one objective a file, each in the same sections.

They give a response for a row and a goal (target, and source where one is needed) and know nothing of the trigger.
Those of the first line replace the whole response, those of the second change a part of it, or nothing:

    sentence, word, fixed, refusal, two-image
    insertion, suffix, token-swap, concept, near-clean, truth

`Objective.convention` names the rule of `byorn.evaluation.asr` that recognizes a success.
"""

from byorn.attacks.objective import Objective
from byorn.attacks.objectives.concept import CONCEPT
from byorn.attacks.objectives.fixed import FIXED
from byorn.attacks.objectives.insertion import INSERTION
from byorn.attacks.objectives.near_clean import NEAR_CLEAN
from byorn.attacks.objectives.refusal import REFUSAL
from byorn.attacks.objectives.sentence import SENTENCE
from byorn.attacks.objectives.suffix import SUFFIX
from byorn.attacks.objectives.token_swap import TOKEN_SWAP
from byorn.attacks.objectives.truth import TRUTH
from byorn.attacks.objectives.two_image import TWO_IMAGE
from byorn.attacks.objectives.word import WORD
from byorn.errors import ConfigError

OBJECTIVES: dict[str, Objective] = {
    "sentence": SENTENCE,
    "word": WORD,
    "fixed": FIXED,
    "refusal": REFUSAL,
    "two-image": TWO_IMAGE,
    "insertion": INSERTION,
    "suffix": SUFFIX,
    "token-swap": TOKEN_SWAP,
    "concept": CONCEPT,
    "near-clean": NEAR_CLEAN,
    "truth": TRUTH,
}


def find_objective(name: str) -> Objective:
    """The objective called `name`.

    Raises:
        ConfigError: There is none.
    """
    if name not in OBJECTIVES:
        raise ConfigError(f"unknown objective {name!r}; choose one of: {', '.join(OBJECTIVES)}")
    return OBJECTIVES[name]
