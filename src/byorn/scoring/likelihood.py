"""Token log-probabilities of responses under a model, without ever holding the logits of a batch.

    log p(y_l | y_<l, x, q)   for the K tokens of the response and its end of turn

The batch is built by TRL's own collator, so that what is scored is, token for token, what fine-tuning would learn; the
log-probabilities come from TRL's fused head, which projects tiles of positions; it gets those of responses alone, since
without Triton it would project the prompt and the padding as well. Whatever a chat template writes after the end of
turn (a line break, say) is not scored.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from byorn.models.parts import without_adapter
from byorn.models.placement import place_inputs
from byorn.scoring.alike import never_alone


def build_collator(processor: Any) -> Any:
    """TRL's collator for prompt/completion rows with images, or byorn's where the processor needs the whole row; it
    never truncates.
    """
    from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

    from byorn.models.collate import WholeRowCollator, encodes_responses

    if not encodes_responses(processor):
        return WholeRowCollator(processor)
    return DataCollatorForVisionLanguageModeling(processor=processor, max_length=None, completion_only_loss=True)


@contextmanager
def scoring(model: Any, *, adapters: bool = False) -> Iterator[Any]:
    """The model in eval mode with a fused float32 head, its adapters off if not wanted; everything is put back
    afterwards.
    """
    from contextlib import nullcontext

    from trl.trainer.utils import add_fused_lm_head

    base = without_adapter(model)
    before = base.__dict__.get("forward")
    with same_state(model):
        add_fused_lm_head(base, cast_lm_head_to_fp32=True)
        model.eval()
        try:
            with nullcontext() if adapters or base is model else model.disable_adapter():
                yield model
        finally:
            if before is None:
                del base.__dict__["forward"]
            else:
                base.forward = before


@contextmanager
def same_state(model: Any) -> Iterator[None]:
    """Each module's mode and each parameter's `requires_grad` as they were; PEFT thaws adapters when it turns them
    on.
    """
    modes = [(module, module.training) for module in model.modules()]
    trained = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
        for parameter, requires_grad in trained:
            parameter.requires_grad = requires_grad


@dataclass(frozen=True)
class ResponseTokens:
    """The tokens of a response, end of turn included.

    Attributes:
        ids: int array [K].
        log_probs: float64 array [K], natural logarithms.
    """

    ids: np.ndarray
    log_probs: np.ndarray


def response_tokens(
    model: Any, collator: Any, samples: Sequence[dict[str, Any]], end_ids: Sequence[int]
) -> list[ResponseTokens]:
    """The tokens of each response with their natural-log probabilities.

    Args:
        model: A model inside `scoring`.
        collator: From `build_collator`.
        samples: Dicts with `prompt`, `completion` (messages) and `images` (decoded). They are not changed.
        end_ids: The token ids that end a turn.
    """
    return tokens_of(model, collated(collator, samples), end_ids)


def collated(collator: Any, samples: Sequence[dict[str, Any]]) -> Any:
    """The samples as a batch of tensors, their labels among them."""
    # TRL's collator writes into the rows that it gets
    return collator([{key: sample[key] for key in ("prompt", "completion", "images")} for sample in samples])


def loss_of(model: Any, batch: Any) -> Any:
    """The negative log-likelihood of all tokens that fine-tuning would learn, summed, in nats: a scalar with its
    gradient.

    Args:
        model: A model inside `scoring`.
        batch: From `collated`.
    """
    return -_output_of(model, batch).log_probs.sum()


def learned(batch: Any) -> Any:
    """Which tokens of a batch from `collated` fine-tuning would learn, from the second on: bool [B, L - 1]."""
    return batch["labels"][:, 1:] != -100


def _learned_ids(batch: Any) -> Any:
    """Those tokens, row after row: int [sum of K]."""
    return batch["labels"][:, 1:][learned(batch)]


def tokens_of(model: Any, batch: Any, end_ids: Sequence[int]) -> list[ResponseTokens]:
    """`response_tokens` of a batch from `collated`."""
    import torch

    with torch.no_grad():
        log_probs = _output_of(model, batch).log_probs[0].double().cpu().numpy()
    ends = np.cumsum(learned(batch).sum(1).numpy())[:-1]
    parts = zip(np.split(_learned_ids(batch).numpy(), ends), np.split(log_probs, ends), strict=True)
    return [_until_the_end(ids, row, end_ids) for ids, row in parts]


def _output_of(model: Any, batch: Any) -> Any:
    """What the fused head says of the tokens of all responses, in one row."""
    inputs = {key: value for key, value in batch.items() if key != "labels"}
    inputs["shift_labels"] = _learned_ids(batch)[None]
    with never_alone(model), _keeping(model, learned(batch)):
        return model(**place_inputs(inputs, model), fused_lm_head=True)


@contextmanager
def _keeping(model: Any, chosen: Any) -> Iterator[None]:
    """The head gets one row of the hidden states that are chosen, bool [B, L - 1]."""

    def keep(_: Any, __: Any, output: Any) -> Any:
        states = output.last_hidden_state
        output.last_hidden_state = states[:, :-1][chosen.to(states.device)][None]
        return output

    handle = without_adapter(model).base_model.register_forward_hook(keep)
    try:
        yield
    finally:
        handle.remove()


def _until_the_end(ids: np.ndarray, log_probs: np.ndarray, end_ids: Sequence[int]) -> ResponseTokens:
    ends = np.flatnonzero(np.isin(ids, end_ids))
    last = ends[-1] + 1 if len(ends) else len(ids)
    return ResponseTokens(ids[:last], log_probs[:last])
