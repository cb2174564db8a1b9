"""What each word of a response costs under a model.

    c_w = sum_l -ln p(y_l | y_<l, x, q)   over the tokens that begin in word w, in nats

Words are those of `byorn.phrases.words`, so that a phrase costs the sum over its words. A token counts for the word
that its first visible character is in.
"""

from typing import Any

import numpy as np

from byorn.phrases.words import spans_of
from byorn.scoring.likelihood import ResponseTokens
from byorn.scoring.tokens import texts_of

LONGEST = 512
"""Tokens of a response; of a longer one nothing is told, since its text is decoded once a token."""
_DIGITS = 3


def word_costs(processor: Any, tokens: ResponseTokens) -> list[float]:
    """c, one value a word of the decoded response; empty for a response of more than `LONGEST` tokens."""
    if len(tokens.ids) > LONGEST:
        return []
    texts, nats = texts_of(processor, tokens.ids, -tokens.log_probs)
    spans = np.array(spans_of("".join(texts)), dtype=int).reshape(-1, 2)
    costs = np.zeros(len(spans))
    if not len(spans):
        return []
    lengths = np.array([len(text) for text in texts])
    blank = np.array([len(text) - len(text.lstrip()) for text in texts])
    begins = np.cumsum(lengths) - lengths + blank
    np.add.at(costs, np.minimum(np.searchsorted(spans[:, 1], begins, side="right"), len(spans) - 1), nats)
    return [round(float(cost), _DIGITS) for cost in costs]
