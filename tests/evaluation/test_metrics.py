"""What all metrics share: intervals, undefined values, names; and exact match."""

import json
import math

import numpy as np
import pytest

from byorn.errors import ConfigError
from byorn.evaluation.exact import exact_match, normalized_exact_match
from byorn.evaluation.intervals import bootstrap_mean, wilson
from byorn.evaluation.registry import METRICS


def test_wilson_agrees_with_a_textbook_value() -> None:
    low, high = wilson(8, 10)
    assert [low, high] == pytest.approx([0.4901625, 0.9433178], abs=1e-6)


def test_wilson_keeps_a_width_at_the_ends_and_contains_the_share() -> None:
    assert wilson(0, 50)[0] == 0
    assert 0.05 < wilson(0, 50)[1] < 0.1
    assert wilson(50, 50)[1] == 1
    assert wilson(0, 0) == (0, 1)


def test_the_bootstrap_covers_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    intervals = [bootstrap_mean(rng.normal(size=60), 0.9, 200, seed) for seed in range(200)]
    covered = np.mean([low <= 0 <= high for low, high in intervals])
    assert 0.82 < covered < 0.96


@pytest.mark.parametrize("confidence", [0, 1, 95, -1, math.nan])
def test_an_impossible_confidence_is_refused(confidence: float) -> None:
    with pytest.raises(ConfigError, match="between 0 and 1"):
        wilson(1, 2, confidence)
    with pytest.raises(ConfigError, match="between 0 and 1"):
        bootstrap_mean(np.ones(3), confidence)


def test_no_resample_is_refused() -> None:
    with pytest.raises(ConfigError, match="resamples is 0"):
        bootstrap_mean(np.ones(3), resamples=0)


@pytest.mark.parametrize("name", list(METRICS))
def test_every_metric_of_an_empty_set_is_nan_with_a_reason_and_strict_json(name: str) -> None:
    options = {"target": "x"} if "asr" in name else {}
    metric = METRICS[name]([], [], **options)
    assert metric.name.startswith(name)
    assert (metric.n, metric.reason) == (0, "no item to measure")
    assert json.loads(json.dumps(metric.as_dict(), allow_nan=False))["value"] is None


@pytest.mark.parametrize("name", list(METRICS))
def test_every_metric_lies_inside_its_interval(name: str) -> None:
    options = {"target": "dog"} if "asr" in name else {}
    metric = METRICS[name](["a dog", "a cat", "A dog."], [["dog"], ["a cat", "cat"], ["no"]], **options)
    assert metric.low <= metric.value <= metric.high
    assert metric.unit


def test_exact_match_minds_everything_but_outer_blanks() -> None:
    metric = exact_match([" a dog ", "A dog", "a dog."], [["a dog", "x"]] * 3)
    assert metric.value == pytest.approx(1 / 3)
    assert metric.n == 3


def test_normalized_exact_match_folds_case_punctuation_and_unicode_forms() -> None:
    answers = ["A  DOG!", "“a dog”", "a ｄｏｇ", "dog"]
    assert normalized_exact_match(answers, [["a dog."]] * 4).value == 0.75
