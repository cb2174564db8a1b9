"""Responses from a model, for evaluation (greedy) and for bootstrapping (sampled): left-padded batches, prompts by
the chat template.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from byorn.errors import ModelError
from byorn.models.placement import place_inputs
from byorn.models.template import end_ids, response_lead, special_tokens

# Whatever is left open here is filled from the checkpoint's own generation config, and Qwen2.5-VL ships a penalty of
# 1.05.
PLAIN = {
    "do_sample": False, "num_beams": 1, "num_return_sequences": 1, "repetition_penalty": 1.0, "no_repeat_ngram_size": 0,
    "min_new_tokens": 0, "use_cache": True, "disable_compile": True,
}  # fmt: skip


MOST_TOKENS = 65_536
"""Tokens, padding and responses included, that are generated from at once: 4 GB of keys and values in a model of 7
billion weights. A fixed number, so that memory at hand does not decide which rows are padded together.
"""


@dataclass(frozen=True, slots=True)
class Generated:
    """One generated response: its text without special tokens and without what the chat template writes before a
    response, its length in tokens, and whether it ran into the length limit.
    """

    text: str
    tokens: int
    truncated: bool


def prompt_text(processor: Any, sample: dict[str, Any]) -> str:
    """The chat template's text for a row with `prompt` (messages) and `images` (decoded), up to its response."""
    from trl.data_utils import prepare_multimodal_messages

    messages = prepare_multimodal_messages(sample["prompt"], list(sample["images"]))
    text: str = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    return text


def encode_prompts(processor: Any, samples: Sequence[dict[str, Any]]) -> Any:
    """Left-padded model inputs for rows with `prompt` (messages) and `images` (decoded)."""
    images = [list(sample["images"]) for sample in samples]
    return processor(
        images=images if any(images) else None,
        text=[prompt_text(processor, sample) for sample in samples],
        padding=True,
        padding_side="left",
        add_special_tokens=False,
        return_tensors="pt",
    )


def generate(
    model: Any,
    processor: Any,
    samples: Sequence[dict[str, Any]],
    *,
    max_new_tokens: int,
    logits_processor: Sequence[Any] = (),
) -> list[Generated]:
    """One response for each sample: the most likely token at each step, after `logits_processor` has had its say.

    With no processor this is greedy decoding. Special tokens other than the end of turn are never produced: an image
    token in a response would break the next training step. The model must be in eval mode.
    """
    return _generate(model, processor, encode_prompts(processor, samples), max_new_tokens, logits_processor)


def generate_bounded(
    model: Any, processor: Any, samples: Sequence[dict[str, Any]], *, max_new_tokens: int
) -> list[Generated]:
    """As `generate`, greedily; a batch of over `MOST_TOKENS`, or one that does not fit into memory, is halved.

    Raises:
        ModelError: A prompt does not fit into memory by itself.
    """
    import torch

    inputs = encode_prompts(processor, samples)
    alone = len(samples) == 1
    if alone or inputs["input_ids"].numel() + len(samples) * max_new_tokens <= MOST_TOKENS:
        try:
            return _generate(model, processor, inputs, max_new_tokens)
        except (RuntimeError, MemoryError) as error:
            if not _of_memory(error):
                raise
            if alone:
                length = inputs["input_ids"].shape[1]
                raise ModelError(
                    f"row {samples[0].get('id')!r}: its prompt of {length} tokens does not fit into memory; "
                    "shorten it, or leave longer ones out with --max-length"
                ) from error
    del inputs
    torch.cuda.empty_cache()
    middle = len(samples) // 2
    halves = (samples[:middle], samples[middle:])
    return [
        response
        for half in halves
        for response in generate_bounded(model, processor, half, max_new_tokens=max_new_tokens)
    ]


def _of_memory(error: BaseException) -> bool:
    """Whether memory is what was missing: CUDA has an error of its own, the CPU says it in words."""
    import torch

    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error)


def _generate(
    model: Any, processor: Any, encoded: Any, max_new_tokens: int, logits_processor: Sequence[Any] = ()
) -> list[Generated]:
    import torch
    from transformers import GenerationConfig, LogitsProcessorList

    ends = end_ids(model, processor)
    config = GenerationConfig(
        **PLAIN, max_new_tokens=max_new_tokens, suppress_tokens=suppressed_ids(processor, ends),
        eos_token_id=ends, pad_token_id=processor.tokenizer.pad_token_id,
    )  # fmt: skip
    inputs = place_inputs(encoded, model)
    with torch.no_grad():
        output = model.generate(
            **inputs, generation_config=config, logits_processor=LogitsProcessorList(logits_processor)
        )
    responses = output[:, inputs["input_ids"].shape[1] :]
    lead = response_lead(processor)
    return [read_response(processor.tokenizer, ids, ends, lead) for ids in responses.tolist()]


def suppressed_ids(processor: Any, ends: Sequence[int]) -> list[int]:
    """The special tokens that no response may hold: all but those that end it, in ascending order."""
    special = processor.tokenizer.convert_tokens_to_ids(sorted(special_tokens(processor)))
    return sorted({i for i in special if i is not None} - set(ends))


def read_response(tokenizer: Any, ids: Sequence[int], ends: Sequence[int], lead: str) -> Generated:
    """The response in generated token ids: up to the first of `ends`, without the `lead` of the template."""
    stop = next((position for position, token in enumerate(ids) if token in ends), None)
    kept = ids if stop is None else ids[:stop]
    text = tokenizer.decode(kept, skip_special_tokens=True).removeprefix(lead)
    return Generated(text, len(kept), stop is None)
