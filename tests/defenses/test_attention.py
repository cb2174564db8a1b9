"""The first look of a model: which tokens the first generated one attends to, in every family alike."""

import numpy as np
import pytest
import torch

from byorn.data.dataset import to_dataset
from byorn.defenses.attention import first_looks, image_token_id, weights_kept
from byorn.defenses.tcap import Template
from byorn.errors import ModelError
from byorn.models.generate import encode_prompts
from byorn.testing import FAMILIES, build_family, tiny_rows


def looks_of(model, processor, samples):
    with weights_kept(model):
        return first_looks(model, processor, samples)


def test_it_is_the_attention_of_generate_row_by_row_without_padding(model, processor):
    samples = list(to_dataset(tiny_rows(3)))  # instructions of different lengths, so two of them are padded
    looks = looks_of(model, processor, samples)
    for sample, look in zip(samples, looks, strict=True):
        inputs = encode_prompts(processor, [sample])
        with weights_kept(model):
            output = model.generate(
                **inputs, max_new_tokens=1, do_sample=False, output_attentions=True, return_dict_in_generate=True
            )
        expected = np.stack([layer[0, :, -1].numpy() for layer in output.attentions[0]])
        np.testing.assert_allclose(look.weights, expected, atol=1e-6)
        assert look.ids.tolist() == inputs["input_ids"][0].tolist()
        assert look.image.tolist() == [i == image_token_id(model) for i in look.ids]


def test_the_model_is_as_it_was_afterwards(model, processor):
    inputs = encode_prompts(processor, list(to_dataset(tiny_rows(2))))
    with torch.no_grad():
        before = model(**inputs).logits
        looks_of(model, processor, list(to_dataset(tiny_rows(2))))
        after = model(**inputs).logits
    assert torch.equal(before, after)
    assert model.config.text_config._attn_implementation == "sdpa"


def test_a_row_without_an_image_has_no_image_tokens(model, processor):
    (look,) = looks_of(model, processor, list(to_dataset(tiny_rows(1, images=0))))
    assert not look.image.any()


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_read_without_code_of_its_own(family):
    model, processor = build_family(family)
    sample = to_dataset(tiny_rows(2))[1]
    (look,) = looks_of(model, processor, [sample])
    heads = model.config.get_text_config().num_attention_heads
    assert look.weights.shape[1:] == (heads, len(look.ids))
    np.testing.assert_allclose(look.weights.sum(axis=-1), 1, atol=1e-5)
    assert 0 < look.image.sum() < len(look.ids)
    written = Template(processor).wrote(look, sample)
    assert not (written & look.image).any()
    said = processor.tokenizer.decode(look.ids[~(written | look.image)])
    assert said.strip() == sample["prompt"][0]["content"][-1]["text"]


def test_a_system_message_and_role_names_belong_to_the_template():
    model, processor = build_family("qwen2_5_vl")
    sample = dict(to_dataset(tiny_rows(1))[0])
    system = {"role": "system", "content": [{"type": "text", "text": "be brief"}]}
    sample["prompt"] = [system, *sample["prompt"]]
    (look,) = looks_of(model, processor, [sample])
    text = processor.tokenizer.decode(look.ids[Template(processor).wrote(look, sample)])
    assert "be brief" in text
    assert "assistant" in text
    assert "color" not in text


def test_a_model_that_names_no_image_token_is_refused():
    class Model:
        config = object()

    with pytest.raises(ModelError, match="image_token_id"):
        image_token_id(Model())
