"""The one forward pass of the probe finds what sampling token by token finds, in every family."""

from typing import Any

import pytest
import torch

from byorn.data.dataset import to_dataset
from byorn.models.generate import PLAIN, encode_prompts
from byorn.models.placement import place_inputs
from byorn.testing import FAMILIES, build_family, tiny_rows
from byorn.training.engine.probe import log_probabilities

NOT_IN_VLLM = {"mllama"}
"""vLLM 0.33 has no such model; its cross attention would want more than longer inputs."""


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - NOT_IN_VLLM))
def test_a_forward_pass_says_what_sampling_said(family):
    model: Any
    model, processor = build_family(family)
    rows = list(to_dataset(tiny_rows(1)))
    inputs = encode_prompts(processor, rows)
    made = model.generate(
        **place_inputs(inputs, model), **PLAIN, max_new_tokens=3, eos_token_id=None, return_dict_in_generate=True,
        output_logits=True,
    )  # fmt: skip
    tokens = made.sequences[0, inputs["input_ids"].shape[1] :].tolist()
    expected = [logits[0].log_softmax(-1)[token] for logits, token in zip(made.logits, tokens, strict=True)]
    torch.testing.assert_close(log_probabilities(model, inputs, tokens), torch.stack(expected), atol=2e-4, rtol=0)
