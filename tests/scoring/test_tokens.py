"""The tokens of a response, spelled: their nats are those of the score, and their texts are the response."""

import numpy as np

from byorn.data.dataset import to_dataset
from byorn.models.template import end_ids
from byorn.scoring import tokens
from byorn.scoring.likelihood import build_collator, response_tokens, scoring
from byorn.testing import tiny_rows


def test_they_are_those_of_the_score(model, processor):
    sample = to_dataset(tiny_rows(1))[0]
    found = tokens.spell(model, processor, sample)
    with scoring(model):
        (response,) = response_tokens(model, build_collator(processor), [sample], end_ids(model, processor))
    assert "".join(found.head).strip() == tiny_rows(1)[0].response
    assert np.allclose(sum(found.head_nats), -response.log_probs[:-1].sum(), atol=1e-5)
    assert (found.tail, found.left_out) == ([], 0)


def test_of_a_long_response_both_ends_are_kept(model, processor, monkeypatch):
    monkeypatch.setattr(tokens, "HEAD", 2)
    monkeypatch.setattr(tokens, "TAIL", 1)
    row = tiny_rows(1)[0]
    sample = to_dataset([row])[0]
    sample["completion"][0]["content"][0]["text"] = "red blue green red blue green"
    found = tokens.spell(model, processor, sample)
    assert len(found.head_nats) <= 2
    assert found.left_out > 0
