"""A digest names a model, or a processor: whatever changes what it computes changes its name, and nothing else does."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch

from byorn.embedded.architecture import PAD
from byorn.models.digest import model_digest, processor_digest
from byorn.models.lora import default_lora
from byorn.testing import tiny_model, tiny_processor


def test_other_weights_make_another_digest(model: Any, processor: Any) -> None:
    assert model_digest(tiny_model(0, processor)) == model_digest(model)
    assert model_digest(tiny_model(1, processor)) != model_digest(model)
    moved = tiny_model(0, processor)
    with torch.no_grad():
        moved.model.language_model.norm.weight += 1e-3
    assert model_digest(moved) != model_digest(model)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_one_weight_among_all_makes_another_digest(processor: Any, dtype: torch.dtype) -> None:
    """By the smallest step that its number type knows: in the embedding, where 64 samples of a matrix missed it."""
    model: Any = tiny_model(0, processor)
    model.to(dtype)
    before = model_digest(model)
    with torch.no_grad():
        bits = model.get_input_embeddings().weight.view(torch.int16 if dtype == torch.bfloat16 else torch.int32)
        bits[1, 3] ^= 1
    assert model_digest(model) != before


def test_a_buffer_that_is_saved_with_the_weights_counts(processor: Any) -> None:
    model = tiny_model(0, processor)
    digests = [model_digest(model)]
    model.model.language_model.norm.register_buffer("offset", torch.zeros(2))
    digests.append(model_digest(model))
    model.model.language_model.norm.offset[1] = 1
    assert len({*digests, model_digest(model)}) == 3


def test_an_adapter_does_not_change_the_digest_of_its_model(model: Any, processor: Any) -> None:
    from peft import get_peft_model

    assert model_digest(get_peft_model(tiny_model(processor=processor), default_lora(model))) == model_digest(model)


@pytest.mark.parametrize(
    "change",
    [
        lambda processor: setattr(processor, "chat_template", processor.chat_template + " "),
        lambda processor: setattr(processor.tokenizer, "eos_token", PAD),
        lambda processor: processor.tokenizer.add_tokens(["banana"]),
        lambda processor: setattr(processor.image_processor, "image_mean", [0.4, 0.5, 0.5]),
        lambda processor: setattr(processor, "patch_size", 8),
    ],
    ids=["template", "end token", "vocabulary", "image settings", "image tokens"],
)
def test_whatever_changes_the_tensors_changes_the_processor_digest(
    processor: Any, change: Callable[[Any], None]
) -> None:
    changed = copy.deepcopy(processor)
    assert processor_digest(changed) == processor_digest(processor)
    change(changed)
    assert processor_digest(changed) != processor_digest(processor)


def test_two_tiny_processors_are_the_same(processor: Any) -> None:
    assert processor_digest(tiny_processor()) == processor_digest(processor)
