"""BLEU and ROUGE-L against pycocoevalcap 1.2."""

import json
from pathlib import Path

import numpy as np
import pytest
from test_cider import PREDICTIONS, REFERENCES

from byorn.errors import ConfigError
from byorn.evaluation.bleu_rouge import bleu, rouge_l, rouge_l_scores

GOLDEN = json.loads(Path(__file__).with_name("golden_captions.json").read_text())


def bleu_scores(predictions: list[str], references: list[list[str]]) -> list[float]:
    """Of the four orders, in [0, 1]."""
    return [score / 100 for score in bleu(predictions, references).detail.values()]


def test_three_captions_score_as_published() -> None:
    published = [0.5493671917, 0.4012010711, 0.3282582321, 0.2763170688]
    np.testing.assert_allclose(bleu_scores(PREDICTIONS, REFERENCES), published, atol=1e-6)
    assert rouge_l_scores(PREDICTIONS, REFERENCES).mean() == pytest.approx(0.6228844738778513, abs=1e-6)


def test_awkward_captions_score_as_published() -> None:
    pair = GOLDEN["predictions"], GOLDEN["references"]
    np.testing.assert_allclose(bleu_scores(*pair), GOLDEN["bleu"], atol=1e-6)
    np.testing.assert_allclose(rouge_l_scores(*pair), GOLDEN["rouge_l"], atol=1e-6)


def test_the_metrics_carry_an_interval_and_all_orders() -> None:
    second = bleu(PREDICTIONS, REFERENCES, order=2)
    assert second.value == second.detail["bleu_2"] == pytest.approx(40.12010711, abs=1e-4)
    assert second.low <= second.value <= second.high
    rouge = rouge_l(PREDICTIONS, REFERENCES)
    assert rouge.low <= rouge.value <= rouge.high <= 100


def test_empty_predictions_score_nothing() -> None:
    assert bleu([""], [["a dog"]]).value == pytest.approx(0, abs=1e-6)
    assert rouge_l([""], [["a dog"]]).value == 0
    assert np.isnan(bleu([], []).value)


def test_a_wrong_order_is_refused() -> None:
    with pytest.raises(ConfigError, match="BLEU order is 5"):
        bleu(["a"], [["a"]], order=5)
