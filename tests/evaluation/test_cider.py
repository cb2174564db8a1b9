"""CIDEr-D against pycocoevalcap 1.2: three captions by hand, and the composed ones of `make_golden.py`."""

import json
from pathlib import Path

import numpy as np
import pytest

from byorn.errors import DataError
from byorn.evaluation.cider import cider, cider_scores

GOLDEN = json.loads(Path(__file__).with_name("golden_captions.json").read_text())
REFERENCES = [
    ["a man is speaking", "a man speaks loudly"],
    ["rain is falling hard on a surface"],
    ["two dogs play in the park", "dogs are playing"],
]
PREDICTIONS = ["a man is speaking", "rain falls", "two dogs playing in a park"]


def test_three_captions_score_as_published() -> None:
    scores = cider_scores(PREDICTIONS, REFERENCES)
    np.testing.assert_allclose(scores, [5.94867949, 0.54403029, 1.71272985], atol=1e-6)
    assert scores.mean() == pytest.approx(2.7351465429698933, abs=1e-6)


def test_awkward_captions_score_as_published() -> None:
    scores = cider_scores(GOLDEN["predictions"], GOLDEN["references"])
    np.testing.assert_allclose(scores, GOLDEN["cider"], atol=1e-6)


def test_the_metric_is_on_the_scale_of_papers() -> None:
    metric = cider(PREDICTIONS, REFERENCES)
    assert metric.value == pytest.approx(273.51465429698933, abs=1e-4)
    assert metric.n == 3
    assert metric.low <= metric.value <= metric.high


def test_the_interval_is_a_function_of_the_seed() -> None:
    first, second, other = (cider(GOLDEN["predictions"], GOLDEN["references"], seed=seed) for seed in (1, 1, 2))
    assert (first.low, first.high) == (second.low, second.high) != (other.low, other.high)


def test_a_perfect_set_scores_ten_an_item() -> None:
    texts = ["a red bird sings loudly", "two grey cats sleep here", "the old train leaves town"]
    np.testing.assert_allclose(cider_scores(texts, [[text] for text in texts]), 10.0)


def test_a_single_item_scores_zero_because_its_idf_is() -> None:
    assert cider(["a dog runs"], [["a dog runs"]]).value == 0.0


def test_an_empty_set_is_undefined_with_a_reason() -> None:
    metric = cider([], [])
    assert np.isnan(metric.value)
    assert metric.reason == "no item to measure"


def test_lists_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(DataError, match="2 predictions but 1"):
        cider(["a", "b"], [["a"]])
    with pytest.raises(DataError, match="item 1 "):
        cider(["a", "b"], [["a"], []])
    with pytest.raises(DataError, match="item 0 "):
        cider(["a"], ["a"])  # type: ignore[list-item]
