"""The score is the likelihood that one plain forward pass gives, whatever the batch, the order, the template or the
padding.
"""

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scoring_oracle import NEWLINE_AFTER_END, NO_END, mixed_rows, nll_of, token_log_probs_of, with_template

from byorn.data.dataset import to_dataset
from byorn.embedded.architecture import END, PAD, TEMPLATE
from byorn.models.template import missing_end_of_turn
from byorn.runs.batches import length_order
from byorn.scoring.score import score_dataset
from byorn.scoring.statistics import nll_max, nll_window
from byorn.testing import tiny_rows

TOLERANCE = 1e-5


def test_every_score_equals_one_plain_forward_pass_per_row(model: Any, processor: Any) -> None:
    rows = mixed_rows()
    scores = score_dataset(model, processor, to_dataset(rows), batch_size=4)
    expected = [token_log_probs_of(model, processor, row).numpy() for row in rows]
    np.testing.assert_allclose(scores.nll, [-one.mean() for one in expected], atol=TOLERANCE, rtol=0)
    np.testing.assert_allclose(scores.values["nll_max"], [nll_max(one) for one in expected], atol=TOLERANCE, rtol=0)
    windows = [nll_window(one) for one in expected]
    np.testing.assert_allclose(scores.values["nll_window"], windows, atol=TOLERANCE, rtol=0)
    assert scores.tokens.tolist() == [len(one) for one in expected]
    assert scores.keys == [row.key for row in rows]
    assert scores.reasons == [None] * len(rows)


def test_the_image_is_part_of_the_condition(model: Any, processor: Any) -> None:
    red, blue = tiny_rows(2)
    swapped = replace(red, images=blue.images)
    scores = score_dataset(model, processor, to_dataset([red, swapped]))
    assert abs(scores.nll[0] - scores.nll[1]) > 10 * TOLERANCE


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_scores_do_not_depend_on_the_batch_size(model: Any, processor: Any, batch_size: int) -> None:
    dataset = to_dataset(mixed_rows())
    usual = score_dataset(model, processor, dataset, batch_size=4)
    other = score_dataset(model, processor, dataset, batch_size=batch_size)
    np.testing.assert_allclose(other.nll, usual.nll, atol=TOLERANCE, rtol=0)


def test_scores_do_not_depend_on_the_order_of_the_rows(model: Any, processor: Any) -> None:
    rows = mixed_rows()
    usual = score_dataset(model, processor, to_dataset(rows), batch_size=3)
    turned = score_dataset(model, processor, to_dataset(rows[::-1]), batch_size=3)
    assert turned.keys == usual.keys[::-1]
    np.testing.assert_allclose(turned.nll[::-1], usual.nll, atol=TOLERANCE, rtol=0)


def test_nothing_after_the_end_of_turn_is_scored(model: Any, processor: Any) -> None:
    rows, newline = mixed_rows(), with_template(processor, NEWLINE_AFTER_END)
    usual = score_dataset(model, processor, to_dataset(rows))
    scores = score_dataset(model, newline, to_dataset(rows))
    np.testing.assert_allclose(scores.nll, [nll_of(model, newline, row) for row in rows], atol=TOLERANCE, rtol=0)
    assert scores.tokens.tolist() == usual.tokens.tolist()


def test_an_end_of_turn_that_the_tokenizer_does_not_call_its_end_is_found_in_the_template(processor: Any) -> None:
    from byorn.testing import tiny_model

    base, foreign = tiny_model(), with_template(processor, NEWLINE_AFTER_END)
    foreign.tokenizer.eos_token = PAD
    base.generation_config.eos_token_id = None
    rows = tiny_rows(3)
    scores = score_dataset(base, foreign, to_dataset(rows))
    np.testing.assert_allclose(scores.nll, [nll_of(base, foreign, row) for row in rows], atol=TOLERANCE, rtol=0)
    assert scores.tokens.tolist() == score_dataset(base, processor, to_dataset(rows)).tokens.tolist()


def test_an_end_of_turn_inside_a_response_does_not_cut_it_short(model: Any, processor: Any) -> None:
    row = replace(tiny_rows(1)[0], response=f"red{END}and more")
    scores = score_dataset(model, processor, to_dataset([row]))
    assert scores.nll[0] == pytest.approx(nll_of(model, processor, row), abs=TOLERANCE)
    assert scores.tokens[0] == len(token_log_probs_of(model, processor, row))


def test_a_pad_token_equal_to_the_end_of_turn_does_not_lose_the_end_of_turn(model: Any, processor: Any) -> None:
    same = copy.deepcopy(processor)
    same.tokenizer.pad_token = END
    dataset = to_dataset(mixed_rows())
    usual = score_dataset(model, processor, dataset, batch_size=4)
    scores = score_dataset(model, same, dataset, batch_size=4)
    assert scores.tokens.tolist() == usual.tokens.tolist()
    np.testing.assert_allclose(scores.nll, usual.nll, atol=TOLERANCE, rtol=0)


def test_a_template_without_an_end_of_turn_scores_the_one_that_is_appended(model: Any, processor: Any) -> None:
    endless = with_template(processor, NO_END)
    bare = tiny_rows(4)
    ended = [replace(row, response=row.response + missing_end_of_turn(endless)) for row in bare]
    scores = score_dataset(model, endless, to_dataset(ended))
    np.testing.assert_allclose(scores.nll, [nll_of(model, endless, row) for row in ended], atol=TOLERANCE, rtol=0)
    without = score_dataset(model, endless, to_dataset(bare))
    np.testing.assert_allclose(without.nll, [nll_of(model, endless, row) for row in bare], atol=TOLERANCE, rtol=0)
    assert (scores.tokens - without.tokens).tolist() == [1, 1, 1, 1]


def test_a_padding_side_left_on_the_tokenizer_does_not_matter(model: Any, processor: Any) -> None:
    dataset = to_dataset(mixed_rows())
    usual = score_dataset(model, processor, dataset, batch_size=4)
    for side in ("left", "right"):
        sided = copy.deepcopy(processor)
        sided.tokenizer.padding_side = side
        scores = score_dataset(model, sided, dataset, batch_size=4)
        np.testing.assert_allclose(scores.nll, usual.nll, atol=TOLERANCE, rtol=0)


def test_longer_rows_come_first_and_plain_strings_count_too() -> None:
    from datasets import Dataset

    texts = ["aa", "a", "aaaa", "a"]
    assert length_order(Dataset.from_dict({"prompt": texts, "completion": texts})) == [2, 0, 1, 3]
    rows = [*tiny_rows(1), replace(tiny_rows(1)[0], prompt=[{"role": "user", "content": []}], images=[])]
    assert length_order(to_dataset(rows)) == [0, 1]


def test_no_rows_give_no_scores(model: Any, processor: Any) -> None:
    scores = score_dataset(model, processor, to_dataset([]), metadata={"data": "none"})
    assert (len(scores), scores.nll.shape, scores.metadata) == (0, (0,), {"data": "none"})


def test_the_template_of_these_tests_ends_every_turn() -> None:
    assert END in TEMPLATE
    assert END not in NO_END
    assert f"{END}\n" in NEWLINE_AFTER_END
