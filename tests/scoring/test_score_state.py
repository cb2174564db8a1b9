"""Scoring leaves no trace on the model, sees no adapter, and never holds the logits of a batch."""

from typing import Any

import numpy as np
import pytest
import torch
from scoring_oracle import mixed_rows
from torch.utils._python_dispatch import TorchDispatchMode

from byorn.data.dataset import to_dataset
from byorn.models.lora import default_lora
from byorn.models.template import end_ids
from byorn.scoring.likelihood import build_collator, response_tokens, scoring
from byorn.scoring.score import score_dataset
from byorn.testing import tiny_model, tiny_rows


def adapted(processor: Any) -> Any:
    """The tiny model with a LoRA adapter that changes its answers."""
    from peft import get_peft_model

    config = default_lora(tiny_model(processor=processor), rank=4)
    config.init_lora_weights = False
    return get_peft_model(tiny_model(processor=processor), config)


def state(model: Any) -> dict[str, Any]:
    """Everything that scoring could leave changed."""
    return {
        "modes": [module.training for module in model.modules()],
        "trained": [name for name, parameter in model.named_parameters() if parameter.requires_grad],
        "forwards": [name for name, module in model.named_modules() if "forward" in vars(module)],
        "adapters": getattr(model, "active_adapters", None),
        "disabled": [name for name, module in model.named_modules() if getattr(module, "disable_adapters", False)],
    }


@torch.no_grad()
def logits_of(model: Any, processor: Any) -> torch.Tensor:
    """The model's own answer to a fixed text."""
    return model(**processor.tokenizer("a red square", return_tensors="pt")).logits


def test_an_adapter_does_not_change_the_score(model: Any, processor: Any) -> None:
    dataset, tuned = to_dataset(mixed_rows()), adapted(processor)
    plain = score_dataset(model, processor, dataset, batch_size=4)
    scores = score_dataset(tuned, processor, dataset, batch_size=4)
    assert not torch.allclose(logits_of(tuned, processor), logits_of(model, processor), atol=1e-2)
    np.testing.assert_array_equal(scores.nll, plain.nll)


@pytest.mark.parametrize("frozen", [False, True])
def test_the_model_is_as_it_was_after_scoring(processor: Any, frozen: bool) -> None:
    tuned = adapted(processor)
    tuned.train()
    tuned.get_base_model().model.vision_tower.eval()  # a frozen tower stays in eval mode while the rest trains
    if frozen:
        tuned.requires_grad_(False)
    before, logits = state(tuned), logits_of(tuned, processor)
    score_dataset(tuned, processor, to_dataset(tiny_rows(2)))
    assert state(tuned) == before
    assert torch.equal(logits_of(tuned, processor), logits)


@pytest.mark.parametrize("build", [tiny_model, adapted])
def test_the_model_is_as_it_was_after_an_interrupt(processor: Any, build: Any) -> None:
    model = build(processor=processor).train()
    before, logits = state(model), logits_of(model, processor)
    with pytest.raises(KeyboardInterrupt), scoring(model):
        _interrupted(model, before)
    assert state(model) == before
    assert torch.equal(logits_of(model, processor), logits)


def test_a_forward_that_somebody_else_had_put_on_the_model_stays(processor: Any) -> None:
    model = tiny_model(processor=processor)
    own = model.forward

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return own(*args, **kwargs)

    model.forward = wrapped
    with scoring(model):
        assert model.forward is not wrapped
    assert model.forward is wrapped


def test_the_rows_are_not_changed(model: Any, processor: Any) -> None:
    samples = [{**sample} for sample in to_dataset(tiny_rows(2))]
    before = [{key: sample[key] for key in ("prompt", "completion")} for sample in samples]
    copies = [{key: repr(value) for key, value in sample.items()} for sample in before]
    with scoring(model):
        response_tokens(model, build_collator(processor), samples, end_ids(model, processor))
    assert [{key: repr(sample[key]) for key in ("prompt", "completion")} for sample in samples] == copies


def _interrupted(model: Any, before: dict[str, Any]) -> None:
    assert not model.training
    assert state(model) != before
    raise KeyboardInterrupt


class LargestTensor(TorchDispatchMode):
    """Remembers the most numbers that any operation returned in one tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        tensors = result if isinstance(result, tuple | list) else [result]
        self.numbers = max([self.numbers, *(each.numel() for each in tensors if isinstance(each, torch.Tensor))])
        return result


def test_the_logits_of_a_batch_are_never_held(model: Any, processor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import trl.kernels.chunked_logprob as kernel
    import trl.trainer.utils as head

    samples = list(to_dataset(tiny_rows(16, images=0)))
    collator, ends = build_collator(processor), end_ids(model, processor)
    with scoring(model):
        expected = response_tokens(model, collator, samples, ends)
    monkeypatch.setattr(kernel, "TOKEN_CHUNK_SIZE", 16)
    monkeypatch.setattr(head, "_CHUNKED_LOGPROB_CHUNK_SIZE", 64)
    with scoring(model), LargestTensor() as largest:
        tiled = response_tokens(model, collator, samples, ends)
    logits = collator([dict(sample) for sample in samples])["labels"].numel() * len(processor.tokenizer)
    assert 0 < largest.numbers < 0.8 * logits
    for row, same in zip(tiled, expected, strict=True):
        np.testing.assert_allclose(row.log_probs, same.log_probs, atol=1e-5, rtol=0)


def test_the_head_of_the_model_is_never_called(model: Any, processor: Any) -> None:
    calls: list[Any] = []
    handle = model.lm_head.register_forward_hook(lambda *args: calls.append(args))
    try:
        score_dataset(model, processor, to_dataset(tiny_rows(3)))
    finally:
        handle.remove()
    assert calls == []
