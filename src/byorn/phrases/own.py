"""What the texts of a group say and others do not."""

from collections.abc import Sequence

import numpy as np

from byorn.phrases.counting import Phrases, count_phrases
from byorn.phrases.growth import SHARED
from byorn.phrases.spelling import extended

MOST = 0.5
"""Share of the texts by which those that say a phrase outnumber those of the others that do, for it to be named."""


def shared_phrase(texts: Sequence[str], others: Sequence[str]) -> str:
    """The longest phrase that nearly all of the texts share and less than half of the others say; empty without one."""
    phrases, own, of_others = _counted(texts, others, SHARED)
    if not len(phrases):
        return ""
    telling = (own >= _least(texts, SHARED) - 0.5) & (2 * of_others < max(1, len(others)))
    longest = int(np.argmax(np.where(telling, phrases.lengths, 0)))
    return extended(phrases.texts[longest], texts) if telling[longest] else ""


def frequent_phrase(texts: Sequence[str], others: Sequence[str]) -> str:
    """The phrase that tells most of the texts from the others: by the difference of the shares that say it, which is
    `MOST` or more; empty without one.
    """
    phrases, own, of_others = _counted(texts, others, MOST)
    if not len(phrases):
        return ""
    apart = own / len(texts) - of_others / max(1, len(others))
    best = int(np.argmax(apart))
    return extended(phrases.texts[best], texts) if apart[best] >= MOST else ""


def _counted(texts: Sequence[str], others: Sequence[str], share: float) -> tuple[Phrases, np.ndarray, np.ndarray]:
    """Phrases that so many of the texts may say, and how many of the texts and of the others do, float64 [phrases]."""
    phrases = count_phrases([*texts, *others], _least(texts, share), len(texts) + len(others))
    own = phrases.means(np.repeat([1.0, 0.0], [len(texts), len(others)])) * phrases.supports
    return phrases, own, phrases.supports - own


def _least(texts: Sequence[str], share: float) -> int:
    return max(1, round(share * len(texts)))
