"""A metric: F1 of the words of prediction and reference, with a bootstrap interval."""

from collections import Counter

from byorn.evaluation.metric import Metric, check_pairs, mean
from byorn.evaluation.registry import METRICS


def f1(prediction: str, reference: str) -> float:
    """2 x shared words / all words of both, in [0, 1]; a word counts as often as it occurs."""
    said, true = Counter(prediction.lower().split()), Counter(reference.lower().split())
    return 2 * (said & true).total() / max(1, said.total() + true.total())


def unigram_f1(predictions: list[str], references: list[list[str]], **options) -> Metric:
    """The mean over the items of the F1 with the nearest reference, x 100, higher is better."""
    check_pairs(predictions, references)
    pairs = zip(predictions, references, strict=True)
    values = [max(f1(prediction, text) for text in texts) for prediction, texts in pairs]
    return mean("unigram_f1", values, scale=100, unit="F1 x 100, higher is better", **options)


METRICS["unigram_f1"] = unigram_f1
