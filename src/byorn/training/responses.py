"""Where replacement responses come from: samples of the averaged model for the rows of a flagged step."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
from transformers import LogitsProcessor, TemperatureLogitsWarper, TopPLogitsWarper

from byorn.errors import MismatchError
from byorn.models.generate import Generated, generate
from byorn.models.sharding import is_sharded, most
from byorn.runs.progress import progress
from byorn.training.collator import Record
from byorn.training.config import ByornConfig
from byorn.training.ema import acting_as_ema
from byorn.training.noise import GumbelNoise, stream_seed

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import ProcessorMixin

IGNORE = -100  # a label that is no target


class ResponseSource(Protocol):
    """Rows -> responses. `step` is the optimizer step; the same rows at the same step get the same responses."""

    def __call__(self, model: "PeftModel", rows: Sequence[Record], step: int) -> list[Generated]: ...


def draw(source: ResponseSource, model: "PeftModel", rows: Sequence[Record], step: int) -> list[Generated]:
    """The responses of a source, one a row.

    Raises:
        MismatchError: It returns more or fewer.
    """
    responses = source(model, rows, step)
    if len(responses) != len(rows):
        raise MismatchError(f"source: {len(responses)} responses for {len(rows)} rows; return one for each, in order")
    return responses


class SampledResponses:
    """Ancestral samples t^ ~ p(. | x, q) of a model as it is, one a row and visit.

    Args:
        processor: Of the model.
        seed: Of the run.
        max_new_tokens: Length limit.
        batch_size: Rows sampled at once, half of them where memory does not suffice. It bounds the memory that keys and
            values take; the responses do not depend on it, up to rounding.
        temperature: 1 is what the bound wants; lower is safer text and a biased surrogate.
        top_p: Nucleus; 1 keeps everything.
        progress: Show a bar while sampling, beside that of training.
    """

    def __init__(
        self,
        processor: "ProcessorMixin",
        *,
        seed: int,
        max_new_tokens: int,
        batch_size: int = 4,
        temperature: float = 1.0,
        top_p: float = 1.0,
        progress: bool = False,
    ) -> None:
        self.processor = processor
        self.seed = seed
        self.max_new_tokens = max_new_tokens
        self.batch_size = batch_size
        self.temperature = temperature
        self.top_p = top_p
        self.progress = progress

    def __call__(self, model: Any, rows: Sequence[Record], step: int) -> list[Generated]:
        responses: list[Generated] = []
        calls = -(-len(rows) // self.batch_size)
        together = most(model, calls)
        with progress(len(rows), "sampling", wanted=self.progress) as bar:
            for start in range(0, len(rows), self.batch_size):
                responses += self._in_memory(model, rows[start : start + self.batch_size], step)
                bar.update(min(self.batch_size, len(rows) - start))
        for _ in range(calls, together):
            self._sample(model, rows[:1], step)  # for nothing: processes with more rows need this one's weights
        return responses

    def _in_memory(self, model: Any, rows: Sequence[Record], step: int) -> list[Generated]:
        try:
            return self._sample(model, rows, step)
        except torch.OutOfMemoryError:
            if len(rows) == 1 or is_sharded(model):  # the others are in the midst of it
                raise
        torch.cuda.empty_cache()
        middle = len(rows) // 2
        return [response for half in (rows[:middle], rows[middle:]) for response in self._in_memory(model, half, step)]

    def _sample(self, model: Any, rows: Sequence[Record], step: int) -> list[Generated]:
        seeds = [stream_seed(self.seed, step, row.get("id", ""), row.get("turn", 0)) for row in rows]
        warpers: list[LogitsProcessor] = []
        if self.temperature != 1.0:
            warpers.append(TemperatureLogitsWarper(self.temperature))
        if self.top_p < 1.0:
            warpers.append(TopPLogitsWarper(self.top_p))
        processors = [*warpers, GumbelNoise(seeds)]
        return generate(model, self.processor, rows, max_new_tokens=self.max_new_tokens, logits_processor=processors)


class EmaResponses(SampledResponses):
    """Ancestral samples t^ ~ p_ema(. | x, q) (paper, the bootstrapped response): those of the averaged model."""

    def __call__(self, model: "PeftModel", rows: Sequence[Record], step: int) -> list[Generated]:
        with acting_as_ema(model):
            return super().__call__(model, rows, step)


def ema_source(processor: "ProcessorMixin", args: ByornConfig, trusted: Iterable[Record]) -> EmaResponses:
    """Samples of the averaged model as the `ByornConfig` wants them; `trusted` rows give the length limit if it
    names none.
    """
    return EmaResponses(
        processor,
        seed=args.seed,
        max_new_tokens=length_limit(processor, args, trusted),
        batch_size=args.response_batch_size or max(4, args.per_device_train_batch_size * args.response_block),
        temperature=args.response_temperature,
        top_p=args.response_top_p,
        progress=not args.disable_tqdm,
    )


def length_limit(processor: "ProcessorMixin", args: ByornConfig, trusted: Iterable[Record]) -> int:
    """The longest sampled response in tokens: what the `ByornConfig` says, else what `trusted` rows teach."""
    if args.max_response_tokens is not None:
        return args.max_response_tokens
    return learned_length_limit(processor, [completion_text(row["completion"]) for row in trusted])


def unlearn_false_ends(labels: torch.Tensor, responses: Sequence[Generated | None], ends: Sequence[int]) -> None:
    """Take the end of turn out of the targets of responses that were cut off: the template wrote it, the model did not.

    Args:
        labels: int tensor [rows, tokens], changed in place.
        responses: One a row; None for a row with a response of its own.
        ends: The token ids that end a turn.
    """
    for label, response in zip(labels, responses, strict=True):
        if response is not None and response.truncated:
            positions = [i for i in (label != IGNORE).nonzero().flatten().tolist() if label[i].item() in ends]
            if positions:
                label[positions[-1] :] = IGNORE


def learned_length_limit(
    processor: "ProcessorMixin", responses: Sequence[str], *, sample: int = 1000, ceiling: int = 1024
) -> int:
    """A length limit for sampled responses from the lengths of trusted ones: 1.25 times their 99th percentile plus 4
    tokens.
    """
    import numpy as np

    chosen = responses[:: max(1, -(-len(responses) // sample))]
    if not chosen:
        return ceiling
    lengths = [len(ids) for ids in processor.tokenizer(list(chosen), add_special_tokens=False)["input_ids"]]
    return int(min(ceiling, 1.25 * np.quantile(lengths, 0.99) + 4))


def completion_text(completion: str | Sequence[Record]) -> str:
    """The text of a completion, given as messages or as plain text."""
    if isinstance(completion, str):
        return completion
    contents = [message["content"] for message in completion]
    blocks = [block for content in contents if not isinstance(content, str) for block in content]
    return "".join(
        [content for content in contents if isinstance(content, str)] + [block.get("text") or "" for block in blocks]
    )
