"""Sampled responses -> model inputs: the last step before a flagged batch is learned."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from byorn.data.checks import TokenGuard
from byorn.models.generate import Generated
from byorn.models.template import end_ids, missing_end_of_turn, special_tokens
from byorn.training.collator import Batch, Record, ReplacingCollator
from byorn.training.responses import unlearn_false_ends

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, ProcessorMixin


class Completer:
    """Gives the rows that have lost their response a drawn one, and encodes them as TRL would.

    Args:
        collator: Of the trainer.
        processor: Of the model.
    """

    def __init__(self, collator: ReplacingCollator, processor: "ProcessorMixin") -> None:
        self.collator = collator
        self.processor = processor
        self.guard = TokenGuard(special_tokens(processor))
        self.end_of_turn = missing_end_of_turn(processor)

    def __call__(
        self, model: "PreTrainedModel | PeftModel", batches: Sequence[Batch], responses: Sequence[Generated]
    ) -> list[Batch]:
        """The batches, those of rows as inputs and labels; responses are used up in the order of the rows without
        one.
        """
        drawn = iter(responses)
        ends = end_ids(model, self.processor)
        return [self._encode(batch["rows"], drawn, ends) if "rows" in batch else batch for batch in batches]

    def _encode(self, rows: Sequence[Record], drawn: Iterator[Generated], ends: Sequence[int]) -> Batch:
        responses = [None if "completion" in row else next(drawn) for row in rows]
        batch = self.collator.encode(
            [
                row if response is None else {**row, "completion": self._turn(response)}
                for row, response in zip(rows, responses, strict=True)
            ]
        )
        unlearn_false_ends(batch["labels"], responses, ends)
        return batch

    def _turn(self, response: Generated) -> list[Record]:
        """The response as a message, with its end if the template writes none; ordinary tokens can spell special
        ones.
        """
        text = self.guard.neutralize(response.text)[0] + ("" if response.truncated else self.end_of_turn)
        return [{"role": "assistant", "content": [{"type": "text", "text": text}]}]
