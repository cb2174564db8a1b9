"""ONION's words: how much each one costs a text in fluency, and the text without the costly ones. No torch here.

f_i = PPL(s) - PPL(s without word i),   s = w_1 ... w_n split at white space
"""

import re
from collections.abc import Sequence

import numpy as np

LONGEST = 1000


def split_words(text: str) -> list[str]:
    """The words, each with the white space before it; joined they are the text, but for white space at its end."""
    return re.findall(r"\s*\S+", text)


def without_each(text: str) -> list[str]:
    """The text itself, then the text without its first word, without its second, ...: what has to be measured.

    A text of less than two words has nothing to lose, so there is nothing to measure. One of more than `LONGEST` is
    left as it is: n words take n passes over n words, and a single hostile row could fill the memory.
    """
    words = split_words(text)
    if not 2 <= len(words) <= LONGEST:
        return []
    return ["".join(words), *("".join(words[:at] + words[at + 1 :]).lstrip() for at in range(len(words)))]


def suspicion(perplexities: Sequence[float]) -> list[float]:
    """f_1 ... f_n from the perplexities of `without_each`; high is suspicious, empty for a text of less than two
    words.
    """
    return [perplexities[0] - other for other in perplexities[1:]]


def clean(text: str, suspicions: Sequence[float], bar: float) -> tuple[str, int]:
    """The text without the words above the bar, and how many those are; the least suspicious word always stays."""
    words = split_words(text)
    removed = [f > bar for f in suspicions]
    if removed and all(removed):
        removed[int(np.argmin(suspicions))] = False
    if not any(removed):
        return text, 0
    kept = [word for word, gone in zip(words, removed, strict=True) if not gone]
    return "".join(kept).lstrip(), sum(removed)


def bar_for(suspicions: Sequence[Sequence[float]], share: float) -> float:
    """The bar above which lies at most `share` of all words, and never one whose loss would not make the text more
    fluent.

    Args:
        suspicions: f of every text, a text that occurs often as often.
        share: Share of the words to remove, in [0, 1].
    """
    pooled = np.array([value for each in suspicions for value in each if np.isfinite(value)])
    return max(0.0, float(np.quantile(pooled, 1 - share, method="higher"))) if len(pooled) else 0.0
