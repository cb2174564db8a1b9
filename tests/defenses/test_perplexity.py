"""Perplexities are what the definition says, whatever batch a text is in."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from byorn.defenses.perplexity import lead_ids, load_causal_lm, perplexities
from byorn.errors import ModelError

TEXTS = ["a red square", "a", "what color? what color? what color?", "cf", "a blue square, a red square"]


def by_definition(model, tokenizer, text, lead="<|end|>"):
    """exp of the mean of -ln p, token by token, one text at a time."""
    before, told = (tokenizer(part, add_special_tokens=False)["input_ids"] for part in (lead, text))
    ids, total = before + told, 0.0
    for position in range(len(before), len(ids)):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids[:position]])).logits[0, -1].double()
        total -= float(torch.log_softmax(logits, -1)[ids[position]])
    return math.exp(total / len(told))


@pytest.mark.parametrize("batch_size", [1, 2, 5])
@pytest.mark.parametrize("lead", ["<|end|>", "<|user|>", "<|user|>so: <|end|><|assistant|>"])
def test_padding_and_batches_change_nothing(model, processor, batch_size, lead):
    tokenizer = processor.tokenizer
    expected = [by_definition(model, tokenizer, text, lead) for text in TEXTS]
    found = perplexities(model, tokenizer, lead_ids(tokenizer, lead), TEXTS, batch_size)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_any_causal_language_model_will_do(processor, tmp_path):
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    sizes: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    LlamaForCausalLM(LlamaConfig(vocab_size=len(processor.tokenizer), **sizes)).save_pretrained(tmp_path)
    processor.tokenizer.save_pretrained(tmp_path)
    model, tokenizer = load_causal_lm(str(tmp_path), "cpu")
    np.testing.assert_allclose(
        perplexities(model, tokenizer, lead_ids(tokenizer), TEXTS),
        [by_definition(model, tokenizer, text) for text in TEXTS],
        rtol=1e-5,
    )


def test_no_text_and_an_empty_text_have_no_perplexity(model, processor):
    assert perplexities(model, processor.tokenizer, [1], []).tolist() == []
    assert np.isnan(perplexities(model, processor.tokenizer, [1], ["a", ""])).tolist() == [False, True]


def test_a_text_longer_than_the_model_reads_has_no_perplexity_and_costs_nobody_else_its_own(processor):
    config = GPT2Config(vocab_size=len(processor.tokenizer), n_positions=8, n_embd=8, n_layer=1, n_head=1)
    model, tokenizer = GPT2LMHeadModel(config).eval(), processor.tokenizer
    found = perplexities(model, tokenizer, lead_ids(tokenizer), ["red", "red " * 20, "blue"])
    assert np.isnan(found).tolist() == [False, True, False]


def test_a_folder_without_a_language_model_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"lm .*nothing"):
        load_causal_lm(str(tmp_path / "nothing"), "cpu")


def test_a_text_without_a_lead_begins_where_a_sequence_begins(processor):
    class Tokenizer:
        bos_token_id: int | None = 0
        eos_token_id: int | None = 7

    assert lead_ids(Tokenizer()) == [0]
    assert lead_ids(processor.tokenizer) == [processor.tokenizer.eos_token_id]
    Tokenizer.bos_token_id = Tokenizer.eos_token_id = None
    with pytest.raises(ModelError, match="neither a beginning nor an end"):
        lead_ids(Tokenizer())
