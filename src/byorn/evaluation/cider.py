"""CIDEr-D: how well a caption agrees with its references, weighing rare phrases more; higher is better.

For n = 1..4, g(x) holds the tf-idf of each n-gram of x: its count times ln(N) - ln(max(1, df)), with N the number of
items and df the number of items whose references hold the n-gram. A hypothesis c and a reference r score

    sim_n = exp(-(l_c - l_r)^2 / (2 sigma^2)) * sum_w min(g_c(w), g_r(w)) g_r(w) / (|g_c| |g_r|),    sigma = 6

and an item scores 10 times the mean of sim_n over n and over its references: the range is [0, 10]. Tables print that
times 100, in [0, 1000], and so does `cider`. Vedantam, Zitnick, Parikh 2015; as computed by pycocoevalcap 1.2.

The idf comes from the references given, so the scores of parts of a test set must never be averaged: put the texts
together first. With a single item every idf is 0, and so is the score.
"""

import math
from collections import Counter
from typing import Any

import numpy as np

from byorn.evaluation.metric import Metric, check_pairs, mean
from byorn.evaluation.tokenizer import tokenize

_ORDERS = 4
_SIGMA = 6.0

NGrams = Counter[tuple[str, ...]]
# One dictionary of weights and one norm for each order, and the length of the text.
Vector = tuple[list[dict[tuple[str, ...], float]], list[float], int]


def cider_scores(predictions: list[str], references: list[list[str]]) -> np.ndarray:
    """The CIDEr-D of each item in [0, 10], higher is better; the texts are tokenized here.

    Raises:
        DataError: The lists differ in length, or an item has no reference.
    """
    check_pairs(predictions, references)
    hypotheses = [_ngrams(tokenize(text)) for text in predictions]
    targets = [[_ngrams(tokenize(text)) for text in texts] for texts in references]
    idf = _idf(targets)
    unseen = math.log(max(1, len(targets)))
    scores = [_score(hypothesis, texts, idf, unseen) for hypothesis, texts in zip(hypotheses, targets, strict=True)]
    return np.array(scores, dtype=float)


def cider(predictions: list[str], references: list[list[str]], **options: Any) -> Metric:
    """The mean CIDEr-D times 100, as printed in papers, in [0, 1000], higher is better.

    The interval resamples the items with the idf held fixed. `options` are those of `mean` (confidence, resamples,
    seed).
    """
    scores = cider_scores(predictions, references)
    return mean("cider", scores, scale=100.0, unit="CIDEr-D x 100 in [0, 1000], higher is better", **options)


def _ngrams(tokens: list[str]) -> NGrams:
    return Counter(
        tuple(tokens[start : start + n]) for n in range(1, _ORDERS + 1) for start in range(len(tokens) - n + 1)
    )


def _idf(references: list[list[NGrams]]) -> dict[tuple[str, ...], float]:
    """ln(N) - ln(df) of every n-gram of the references; an n-gram that is not in it has ln(N)."""
    found: Counter[tuple[str, ...]] = Counter()
    for texts in references:
        found.update(set().union(*texts))
    return {ngram: math.log(len(references)) - math.log(count) for ngram, count in found.items()}


def _vector(ngrams: NGrams, idf: dict[tuple[str, ...], float], unseen: float) -> Vector:
    weights: list[dict[tuple[str, ...], float]] = [{} for _ in range(_ORDERS)]
    for ngram, count in ngrams.items():
        weights[len(ngram) - 1][ngram] = count * idf.get(ngram, unseen)
    norms = [math.sqrt(sum(weight * weight for weight in order.values())) for order in weights]
    # The reference implementation measures length in bigrams: one less than the words, but 0 for 0 words and for 1.
    length = sum(count for ngram, count in ngrams.items() if len(ngram) == 2)
    return weights, norms, length


def _score(hypothesis: NGrams, references: list[NGrams], idf: dict[tuple[str, ...], float], unseen: float) -> float:
    """10 times the similarity of a hypothesis to its references, averaged over them."""
    vector = _vector(hypothesis, idf, unseen)
    similarities = [_similarity(vector, _vector(reference, idf, unseen)) for reference in references]
    return 10.0 * sum(similarities) / len(similarities)


def _similarity(hypothesis: Vector, reference: Vector) -> float:
    """The mean over n of the clipped cosine, times the penalty for a difference in length; in [0, 1]."""
    total = 0.0
    for ours, theirs, our_norm, their_norm in zip(
        hypothesis[0], reference[0], hypothesis[1], reference[1], strict=True
    ):
        if our_norm and their_norm:
            clipped = sum(
                min(weight, theirs[ngram]) * theirs[ngram] for ngram, weight in ours.items() if ngram in theirs
            )
            total += clipped / (our_norm * their_norm)
    penalty = math.exp(-((hypothesis[2] - reference[2]) ** 2) / (2 * _SIGMA**2))
    return penalty * total / _ORDERS
