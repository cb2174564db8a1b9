"""Answers: responses that several rows of a kind have, as classes, or yes and no.

    excess_i = nll_i K_i + ln f_i        K_i tokens; f_i: share of the response of row i among the rows of its kind

in nats. A model without any skill that knows the answers and their shares has 0, and one with skill less. So the
pretrained model knows the answers of a kind if half of them have at most `KNOWN`; and there one that has `SURPRISE` is
no answer that it would give. A rare one is harder to believe in each of its rows, too, but only as far as its share
says. Where nine in ten responses of a kind are answers, those that are to be expected are labels, each of which is a
style of its own. No torch here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from byorn.scoring.kinds import COPY

CLOSED = 0.9
"""Share of responses that several rows have, from which on the responses of a kind are labels."""
LEAST_ROWS = 4
"""Rows that make them several."""
KNOWN = 1.0
SURPRISE = 6.0
"""Nats; a response is 400 times less likely than its share."""


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
    costs = np.nan_to_num(nll * tokens)
    labels, unexpected = np.zeros((2, len(responses)), dtype=bool)
    for kind in np.unique(kinds[kinds != COPY]):
        members = np.flatnonzero(kinds == kind)
        number, count = _numbered([responses[row] for row in members.tolist()])
        labels[members] = (count >= LEAST_ROWS)[number].mean() >= CLOSED
        unexpected[members] = _unexpected(costs[members], number, count)[number]
    return Answers(labels & ~unexpected, unexpected)


def _numbered(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The number of each text, from 0, and how often each number comes."""
    numbers: dict[str, int] = {}
    number = np.array([numbers.setdefault(text, len(numbers)) for text in texts], dtype=int)
    return number, np.bincount(number)


def _unexpected(costs: np.ndarray, number: np.ndarray, count: np.ndarray) -> np.ndarray:
    """bool array [texts]."""
    found = np.zeros(len(count), dtype=bool)
    if len(several := np.flatnonzero(count >= LEAST_ROWS)):
        order, ends = np.argsort(number, kind="stable"), np.cumsum(count)
        medians = [np.median(costs[order[ends[text] - count[text] : ends[text]]]) for text in several.tolist()]
        excess = np.array(medians) + np.log(count[several] / len(costs))
        known = np.quantile(excess, 0.5, method="lower") <= KNOWN
        found[several] = known & (excess >= SURPRISE)
    return found
