"""Labels: responses that many rows have, as classes or yes and no. Each is a style of its own.

A rare class is harder to believe in every one of its rows, and nothing is wrong with it. A model without any skill that
knows the labels and their shares f gives each -ln f nats; one with skill gives less. A planted label costs far more:

    unexpected    median of nll_i K_i over the rows of a label >= SURPRISE - ln f

where the model knows the labels at all, that is where the median row of the kind costs at most `KNOWN` nats a token. No
torch here.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from byorn.scoring.kinds import COPY
from byorn.scoring.learning_curve import KNOWN

CLOSED = 0.9
"""Share of responses that several rows have, from which on the responses of a kind are labels."""
LEAST_SHARED = 4
"""Rows that make them several."""
SURPRISE = 6.0
"""Nats; a label is 400 times less likely than its share."""


def labels_of(responses: Sequence[str], kinds: np.ndarray, nll: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """bool array [n]: whether the response of a row is a label, and one that is to be expected.

    Args:
        responses: n texts.
        kinds: Of the rows, see `byorn.scoring.kinds`.
        nll: Their likelihoods under the pretrained model, nats a token.
        tokens: How many tokens they have.
    """
    said = Counter(responses)
    shared = np.array([said[response] >= LEAST_SHARED for response in responses], dtype=bool)
    found = np.zeros(len(responses), dtype=bool)
    for kind in np.unique(kinds[kinds != COPY]):
        members = np.flatnonzero(kinds == kind)
        if shared[members].mean() >= CLOSED:
            texts = [responses[row] for row in members.tolist()]
            found[members] = ~_unexpected(texts, nll[members], tokens[members])
    return found


def _unexpected(texts: Sequence[str], nll: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """Bool array, of the rows of one kind."""
    if not np.isfinite(nll).any() or np.nanmedian(nll) > KNOWN:
        return np.zeros(len(texts), dtype=bool)
    numbers: dict[str, int] = {}
    label = np.array([numbers.setdefault(text, len(numbers)) for text in texts])
    count = np.bincount(label)
    order = np.argsort(label, kind="stable")
    known = np.nan_to_num(nll * tokens)[order]  # what has no score costs nothing
    costs = [np.median(own) for own in np.split(known, np.cumsum(count)[:-1])]
    return np.asarray((np.array(costs) >= SURPRISE - np.log(count / len(texts)))[label])
