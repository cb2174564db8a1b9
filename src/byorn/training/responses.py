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
from byorn.training.noise import GumbelNoise
from byorn.training.sampling import Sampling, sampling_of

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
        sampling: How.
        batch_size: Rows sampled at once, half of them where memory does not suffice. It bounds the memory that keys and
            values take; the responses do not depend on it, up to rounding.
    """

    def __init__(self, processor: "ProcessorMixin", sampling: Sampling, *, batch_size: int = 4) -> None:
        self.processor = processor
        self.sampling = sampling
        self.batch_size = batch_size

    def __call__(self, model: Any, rows: Sequence[Record], step: int) -> list[Generated]:
        responses: list[Generated] = []
        calls = -(-len(rows) // self.batch_size)
        together = most(model, calls)
        with progress(len(rows), "sampling", wanted=self.sampling.progress) as bar:
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
        how = self.sampling
        warpers: list[LogitsProcessor] = []
        if how.temperature != 1.0:
            warpers.append(TemperatureLogitsWarper(how.temperature))
        if how.top_p < 1.0:
            warpers.append(TopPLogitsWarper(how.top_p))
        processors = [*warpers, GumbelNoise([how.seed_of(row, step) for row in rows])]
        return generate(model, self.processor, rows, max_new_tokens=how.max_new_tokens, logits_processor=processors)


class EmaResponses(SampledResponses):
    """Ancestral samples t^ ~ p_ema(. | x, q) (paper, the bootstrapped response): those of the averaged model."""

    def __call__(self, model: "PeftModel", rows: Sequence[Record], step: int) -> list[Generated]:
        with acting_as_ema(model):
            return super().__call__(model, rows, step)


def ema_source(processor: "ProcessorMixin", args: ByornConfig, trusted: Iterable[Record]) -> EmaResponses:
    """Samples of the averaged model as the `ByornConfig` wants them; `trusted` rows give the length limit if it
    names none.
    """
    at_once = rows_at_once(args, args.response_block)
    return EmaResponses(processor, sampling_of(processor, args, trusted), batch_size=at_once)


def rows_at_once(args: ByornConfig, block: int) -> int:
    """Rows that are sampled at once where a block has so many flagged steps; one step while that is not chosen (0)."""
    return args.response_batch_size or max(4, args.per_device_train_batch_size * (block or 1))


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
