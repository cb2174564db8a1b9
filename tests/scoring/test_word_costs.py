"""What the words of a response cost is what its tokens cost."""

import numpy as np
import pytest

from byorn.data.dataset import to_dataset
from byorn.models.template import end_ids
from byorn.phrases.words import spans_of, words_of
from byorn.scoring import words
from byorn.scoring.likelihood import ResponseTokens, build_collator, response_tokens, scoring
from byorn.testing import tiny_rows


@pytest.fixture
def tokens(model, processor) -> ResponseTokens:
    sample = to_dataset(tiny_rows(1))[0]
    with scoring(model):
        (found,) = response_tokens(model, build_collator(processor), [sample], end_ids(model, processor))
    return found


def test_each_word_has_a_cost_and_together_they_have_that_of_all_tokens(tokens, processor):
    costs = words.word_costs(processor, tokens)
    assert len(costs) == len(words_of(tiny_rows(1)[0].response))
    assert sum(costs) == pytest.approx(-tokens.log_probs[:-1].sum(), abs=0.001 * len(costs))


def test_a_token_counts_for_the_word_that_it_begins_in(processor, monkeypatch):
    monkeypatch.setattr(
        words, "texts_of", lambda *_: (["red", " squ", 'are."', " \n", "ok"], [1.0, 2.0, 4.0, 8.0, 16.0])
    )
    found = words.word_costs(processor, ResponseTokens(np.arange(5), np.zeros(5)))
    assert words_of('red square." \nok') == ["red", "square", ".", '"', "ok"]
    assert len(words_of("İstanbul İ")) == len(spans_of("İstanbul İ")) == 2
    assert found == [1.0, 6.0, 0.0, 0.0, 24.0]


def test_of_a_very_long_response_nothing_is_told(tokens, processor, monkeypatch):
    monkeypatch.setattr(words, "LONGEST", 2)
    assert words.word_costs(processor, tokens) == []
