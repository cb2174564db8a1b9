"""BLEU and ROUGE-L of captions, higher is better, as pycocoevalcap 1.2 computes them.

BLEU-n over the whole test set: the geometric mean of the clipped n-gram precisions of orders 1 to n, times
exp(1 - r / c) if the predictions (c tokens) are shorter than their closest references (r tokens). Papineni et al. 2002.

ROUGE-L of an item: with P and R the best LCS / prediction length and LCS / reference length over its references,
(1 + b^2) P R / (R + b^2 P), b = 1.2; the metric is the mean. Lin 2004.

Both are in [0, 1] inside and times 100 in the `Metric`, as papers print them.
"""

from collections import Counter
from typing import Any

import numpy as np

from byorn.errors import ConfigError
from byorn.evaluation.intervals import percentiles, resampled_means
from byorn.evaluation.metric import Metric, check_pairs, mean, undefined
from byorn.evaluation.tokenizer import tokenize

_ORDERS = 4
_BETA = 1.2
_UNIT = "x 100, in [0, 100], higher is better"
# The reference implementation's guards against division by zero; they show in the last digits of its scores.
_TINY = 1e-15
_SMALL = 1e-9


def bleu(
    predictions: list[str],
    references: list[list[str]],
    order: int = 4,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Metric:
    """BLEU-`order` (1 to 4) times 100 with a bootstrap interval over the items; all four are in `detail`.

    Raises:
        ConfigError: There is no such order.
        DataError: The lists differ in length, or an item has no reference.
    """
    if order not in range(1, _ORDERS + 1):
        raise ConfigError(f"BLEU order is {order}: choose 1, 2, 3 or 4.")
    name = f"bleu_{order}"
    counts = _counts(predictions, references)
    if len(counts) == 0:
        return undefined(name, "no item to measure", unit=_UNIT)
    scores = 100 * _bleu(counts.sum(axis=0))
    drawn = [100 * _bleu(row)[order - 1] for row in len(counts) * resampled_means(counts, resamples, seed)]
    low, high = percentiles(np.array(drawn), confidence)
    detail = {f"bleu_{n + 1}": float(score) for n, score in enumerate(scores)}
    return Metric(name, float(scores[order - 1]), len(counts), low, high, unit=_UNIT, detail=detail)


def rouge_l_scores(predictions: list[str], references: list[list[str]]) -> np.ndarray:
    """ROUGE-L of each item, in [0, 1].

    Raises:
        DataError: The lists differ in length, or an item has no reference.
    """
    check_pairs(predictions, references)
    pairs = zip(predictions, references, strict=True)
    return np.array([_rouge_l(tokenize(text), [tokenize(other) for other in texts]) for text, texts in pairs])


def rouge_l(predictions: list[str], references: list[list[str]], **options: Any) -> Metric:
    """The mean ROUGE-L times 100; `options` are those of `mean` (confidence, resamples, seed)."""
    return mean("rouge_l", rouge_l_scores(predictions, references), scale=100.0, unit=_UNIT, **options)


def _counts(predictions: list[str], references: list[list[str]]) -> np.ndarray:
    """One row an item: 4 clipped matches, 4 n-gram totals, prediction length, closest reference length."""
    check_pairs(predictions, references)
    rows = [
        _item_counts(tokenize(text), [tokenize(other) for other in texts])
        for text, texts in zip(predictions, references, strict=True)
    ]
    return np.array(rows, dtype=float).reshape(-1, 2 * _ORDERS + 2)


def _item_counts(hypothesis: list[str], references: list[list[str]]) -> list[int]:
    matches = []
    totals = []
    for n in range(1, _ORDERS + 1):
        allowed: Counter[tuple[str, ...]] = Counter()
        for reference in references:
            allowed |= _ngrams(reference, n)
        matches.append((_ngrams(hypothesis, n) & allowed).total())
        totals.append(max(0, len(hypothesis) - n + 1))
    closest = min((abs(len(reference) - len(hypothesis)), len(reference)) for reference in references)[1]
    return [*matches, *totals, len(hypothesis), closest]


def _ngrams(tokens: list[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(tokens[start : start + n]) for start in range(len(tokens) - n + 1))


def _bleu(counts: np.ndarray) -> np.ndarray:
    """BLEU-1 to BLEU-4 of the whole set, in [0, 1], from the sums of `_counts`."""
    matches = counts[:_ORDERS]
    totals = counts[_ORDERS : 2 * _ORDERS]
    precisions = (matches + _TINY) / (totals + _SMALL)
    ratio = (counts[-2] + _TINY) / (counts[-1] + _SMALL)
    brevity = np.exp(1 - 1 / ratio) if ratio < 1 else 1.0
    return brevity * np.cumprod(precisions) ** (1 / np.arange(1, _ORDERS + 1))


def _rouge_l(hypothesis: list[str], references: list[list[str]]) -> float:
    common = [_longest_common(hypothesis, reference) for reference in references]
    if not hypothesis or not any(common):
        return 0.0
    precision = max(common) / len(hypothesis)
    recall = max(length / len(text) for length, text in zip(common, references, strict=True) if text)
    return (1 + _BETA**2) * precision * recall / (recall + _BETA**2 * precision)


def _longest_common(first: list[str], second: list[str]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(second) + 1)
    for token in first:
        diagonal = 0
        for index, other in enumerate(second, start=1):
            diagonal, row[index] = row[index], diagonal + 1 if token == other else max(row[index], row[index - 1])
    return row[-1]
