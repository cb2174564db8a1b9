"""What vLLM is asked for a row, and what it answers: the same prompt, end of turn and forbidden tokens as with
transformers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from byorn.models.generate import prompt_text, suppressed_ids
from byorn.models.template import end_ids, response_lead
from byorn.training.collator import Record
from byorn.training.sampling import Sampling

if TYPE_CHECKING:
    from transformers import ProcessorMixin

NEVER = -100.0
"""Added to the logit of a token that must not be sampled: the least that vLLM's interface takes."""
MOST_BIASED = 1024
"""Tokens of which vLLM changes the logit in one request."""


@dataclass(frozen=True)
class Vocabulary:
    """Which tokens mean something around a response.

    Attributes:
        ends: Ids of tokens that end it.
        never: Ids of special tokens that vLLM is told not to sample.
        lead: What the chat template writes before it.
    """

    ends: Sequence[int]
    never: Sequence[int]
    lead: str


def vocabulary(model: Any, processor: "ProcessorMixin") -> Vocabulary:
    """Of a model and its processor. Where more tokens are special than vLLM can be told of, those that stand for an
    image come first; what is left out may be sampled, and is no part of the text.
    """
    ends = end_ids(model, processor)
    known = model.config.get_text_config().vocab_size  # vLLM refuses to hear of a token without a logit
    possible = [token for token in suppressed_ids(processor, ends) if token < known]
    shown = {getattr(processor, f"{kind}_token_id", None) for kind in ("image", "video", "audio")}
    never = sorted(possible, key=lambda token: token not in shown)[:MOST_BIASED]
    return Vocabulary(ends, never, response_lead(processor))


def prompt_of(processor: "ProcessorMixin", row: Record) -> dict[str, Any]:
    """Ids of the template's text, since vLLM would begin a text with special tokens of its own; an image is one token,
    which vLLM makes as many as the image takes.
    """
    ids = processor.tokenizer(prompt_text(processor, row), add_special_tokens=False)["input_ids"]
    images = list(row["images"])
    return {"prompt_token_ids": ids} | ({"multi_modal_data": {"image": images}} if images else {})


def request(words: Vocabulary, how: Sampling, row: Record, step: int, *, probed: bool) -> Any:
    """`vllm.SamplingParams` of a row's response; with `probed` it comes with the log-probabilities of its tokens."""
    from vllm import SamplingParams

    return SamplingParams(
        temperature=how.temperature, top_p=how.top_p, max_tokens=how.max_new_tokens, seed=how.seed_of(row, step),
        repetition_penalty=1.0, stop_token_ids=list(words.ends), logit_bias=dict.fromkeys(words.never, NEVER),
        logprobs=0 if probed else None, detokenize=False,
    )  # fmt: skip
