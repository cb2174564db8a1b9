"""Whether an engine samples the model that it should: log-probabilities of one response, from it and from transformers.

Adapters get lost on the way without an error: where the names of layers do not fit, vLLM answers with the base model
(its issues 34186, 48019), and so did other stacks. What is compared are the plain log-probabilities of the sampled
tokens, before temperature, nucleus and suppressed tokens.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from byorn.errors import TrainingError
from byorn.models.generate import encode_prompts
from byorn.models.placement import place_inputs
from byorn.training.collator import Record
from byorn.training.engine.adapter import acting_adapter

if TYPE_CHECKING:
    from transformers import ProcessorMixin

TOLERANCE = 0.25
"""Nats a token, in the mean of absolute differences. In bfloat16 a logit between 16 and 32 is a multiple of 1/8: two
stacks that round differently are off by a step or two of it at some tokens, and a mean of two steps over all of them is
no rounding. Means of 0.01 to 0.05 are reported between vLLM and transformers (vLLM issue 18352, vime issue 64).
"""

TYPE_OF_RESPONSE = {"paligemma": 1}
"""By model type, where tokens of a response are not of type 0: in PaliGemma that is the prompt, which sees ahead."""


@dataclass(frozen=True)
class EngineResponse:
    """What an engine says of one response.

    Attributes:
        prompt: Tokens of the prompt, those of images included.
        tokens: Ids of the response, its end included.
        log_probabilities: Natural logarithm, one a token.
    """

    prompt: int
    tokens: Sequence[int]
    log_probabilities: Sequence[float]


def read_output(output: Any) -> EngineResponse:
    """Of a `vllm.RequestOutput` with log-probabilities."""
    response = output.outputs[0]
    steps = zip(response.token_ids, response.logprobs, strict=True)
    return EngineResponse(
        len(output.prompt_token_ids), list(response.token_ids), [found[token].logprob for token, found in steps]
    )


def require_obeyed(rows: Sequence[Record], responses: Sequence[Sequence[int]], never: Collection[int]) -> None:
    """Refuse special tokens that were sampled all the same: without its image, an image token stops any forward pass.

    Raises:
        TrainingError: Naming the first such row.
    """
    for row, ids in zip(rows, responses, strict=True):
        if not set(never).isdisjoint(ids):
            raise TrainingError(
                f"vLLM samples special tokens that it was told not to, first for row {row.get('id')!r}; "
                "use response_engine='transformers'"
            )


def require_same_model(model: Any, processor: "ProcessorMixin", row: Record, response: EngineResponse) -> float:
    """The mean absolute difference of log-probabilities in nats a token, between the engine and the model as it acts
    here, which must be in eval mode.

    Raises:
        TrainingError: It is above `TOLERANCE`, or the two did not even read the same prompt.
    """
    inputs = encode_prompts(processor, [row])
    own = inputs["input_ids"].shape[1]
    if own != response.prompt:
        raise _refusal(f"it reads row {row.get('id')!r} as {response.prompt} tokens, transformers as {own}")
    difference = _difference(model, inputs, response)
    if difference <= TOLERANCE:
        return difference
    said = f"its log-probabilities are off by {difference:.2f} nats a token from those of transformers"
    if acting_adapter(model):
        with model.disable_adapter():
            said += f", by {_difference(model, inputs, response):.2f} from those of the base model"
    raise _refusal(f"{said}; {TOLERANCE} is rounding")


def _refusal(what: str) -> TrainingError:
    return TrainingError(
        f"vLLM does not sample the model that it should: {what}; use response_engine='transformers' (docs/scale.md)"
    )


def _difference(model: Any, inputs: Any, response: EngineResponse) -> float:
    """In nats a token; infinite where a number is missing."""
    theirs = torch.tensor(response.log_probabilities)
    difference = (log_probabilities(model, inputs, response.tokens).cpu() - theirs).abs().mean()
    return float(difference) if math.isfinite(difference) else math.inf


@torch.no_grad()
def log_probabilities(model: Any, inputs: Any, tokens: Sequence[int]) -> torch.Tensor:
    """Log-probabilities of response tokens after one prompt, in one forward pass; float32 tensor [tokens].

    Args:
        model: In eval mode.
        inputs: Of `encode_prompts`, for a single row.
        tokens: Ids of the response.
    """
    prompt = inputs["input_ids"]
    response = torch.tensor([tokens], dtype=prompt.dtype)
    kind = TYPE_OF_RESPONSE.get(model.config.model_type, 0)
    longer = {key: _lengthened(value, prompt, len(tokens), kind) for key, value in inputs.items() if key != "labels"}
    longer["input_ids"] = torch.cat([prompt, response], dim=1)
    longer["attention_mask"] = torch.ones_like(longer["input_ids"])
    placed = place_inputs(longer, model)
    logits: torch.Tensor = model(**placed, use_cache=False, logits_to_keep=len(tokens) + 1).logits[0, :-1]
    return logits.float().log_softmax(-1).gather(-1, response[0, :, None].to(logits.device))[:, 0]


def _lengthened(value: Any, prompt: torch.Tensor, more: int, kind: int) -> Any:
    """What has a number for each token of the prompt, as types of tokens do, gets those of a response's."""
    if getattr(value, "shape", None) != prompt.shape:
        return value
    return torch.nn.functional.pad(value, (0, more), value=kind)
