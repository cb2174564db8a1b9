"""Answers: responses that several rows have, as classes, or yes and no.

    excess_i = nll_i K_i + ln f_i        K_i tokens; f_i: share of the response of row i among the rows of its kind

in nats. A model without any skill that knows the answers and their shares has 0, and one with skill less. So the
pretrained model knows the answers of a kind if half of them have at most `KNOWN`; and there one that has `SURPRISE` is
no answer that it would give. A rare one is harder to believe in each of its rows, too, but only as far as its share
says. Where nine in ten responses of a kind are answers, those that are to be expected are labels, each of which is a
style of its own. No torch here.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from byorn.scoring.kinds import COPY

CLOSED = 0.9
"""Share of responses that several rows have, from which on the responses of a kind are labels."""
LEAST_ROWS = 4
"""Rows that make them several, of all kinds together."""
KNOWN = 1.0
"""Nats of excess that half of the answers have at most where the pretrained model knows them."""
SURPRISE = 6.0
"""Nats of excess: the answer is 400 times less likely than its share."""


@dataclass(frozen=True)
class Answers:
    """What is known of n responses.

    Attributes:
        labels: bool array [n]: of a row whose response is a label, and one that is to be expected.
        unexpected: bool array [n]: of a row whose response is one that several have and the pretrained model would not
            give.
    """

    labels: np.ndarray
    unexpected: np.ndarray


def answers_of(responses: Sequence[str], kinds: np.ndarray, nll: np.ndarray, tokens: np.ndarray) -> Answers:
    """Which responses are labels, and which are unexpected answers.

    Args:
        responses: n texts.
        kinds: Of the rows, see `byorn.scoring.kinds`.
        nll: Their likelihoods under the pretrained model, nats a token; what has none costs nothing.
        tokens: How many tokens they have.
    """
    costs, said = np.nan_to_num(nll * tokens), Counter(responses)
    shared = np.array([said[response] >= LEAST_ROWS for response in responses], dtype=bool)
    labels, unexpected = np.zeros((2, len(responses)), dtype=bool)
    for kind in np.unique(kinds[kinds != COPY]):
        members = np.flatnonzero(kinds == kind)
        given = members[shared[members]]
        labels[members] = len(given) >= CLOSED * len(members)
        unexpected[given] = _unexpected([responses[row] for row in given.tolist()], costs[given], len(members))
    return Answers(labels & ~unexpected, unexpected)


def _unexpected(texts: Sequence[str], costs: np.ndarray, rows: int) -> np.ndarray:
    """Of the answers in a kind of so many rows: bool array [answers]."""
    if not texts:
        return np.zeros(0, dtype=bool)
    numbers: dict[str, int] = {}
    number = np.array([numbers.setdefault(text, len(numbers)) for text in texts])
    count = np.bincount(number)
    own = np.split(costs[np.argsort(number, kind="stable")], np.cumsum(count)[:-1])
    excess = np.array([np.median(part) for part in own]) + np.log(count / rows)
    known = np.quantile(excess, 0.5, method="lower") <= KNOWN
    return np.asarray((known & (excess >= SURPRISE))[number])
