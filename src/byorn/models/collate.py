"""Batches for processors that cannot encode a response apart from its prompt, as TRL's collator does.

Mllama's puts a second beginning-of-text before the response and makes a cross-attention mask for the prompt only;
PaliGemma's wants an image with every text, and the response as a `suffix`, which is read from left to right while the
prompt is read in both directions. Everything else is TRL's `DataCollatorForVisionLanguageModeling`.
"""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from byorn.errors import DataError

_PROBE = "byorn-probe"


def encodes_responses(processor: Any) -> bool:
    """Whether a text without images becomes the tokens that the tokenizer alone makes of it."""
    try:
        ids = processor(text=[_PROBE], add_special_tokens=False)["input_ids"][0]
    except Exception:  # a processor that needs images says so in a way of its own
        return False
    return list(ids) == list(processor.tokenizer(_PROBE, add_special_tokens=False)["input_ids"])


@dataclass
class WholeRowCollator:
    """Prompt, images and response of each row in one call of the processor; the labels are the response and its end.

    Rows are TRL's: `prompt`, `completion` (messages) and `images` (decoded). They are not changed, and never cut.

    Raises:
        DataError: The rows of a batch cannot stand side by side.
    """

    processor: Any

    def __call__(self, rows: Sequence[dict[str, Any]]) -> Any:
        texts = [self._texts(row) for row in rows]
        images = [list(row["images"]) for row in rows]
        self._require_equal(images)
        options = {
            "images": images if any(images) else None, "padding": True, "padding_side": "right",
            "add_special_tokens": False, "return_tensors": "pt",
        }  # fmt: skip
        if "suffix" in inspect.signature(self.processor.__call__).parameters:
            end = self.processor.tokenizer.eos_token  # which the processor writes itself
            batch = self.processor(
                text=[prompt for prompt, _ in texts], suffix=[said.removesuffix(end) for _, said in texts], **options
            )
            learned = batch["token_type_ids"] == 1
        else:
            batch = self.processor(text=[prompt + said for prompt, said in texts], **options)
            learned = _last(batch["attention_mask"], [self._length(said) for _, said in texts])
        batch["labels"] = batch["input_ids"].masked_fill(~learned, -100)
        return batch

    def _require_equal(self, images: Sequence[Sequence[Any]]) -> None:
        """Padding images are no harm, except where text before an image attends to them."""
        names = getattr(self.processor, "model_input_names", ())
        if "cross_attention_mask" in names and len({len(each) for each in images}) > 1:
            family = type(self.processor).__name__.removesuffix("Processor")
            raise DataError(f"images: {family} needs the same number in all rows of a batch; keep rows with one image")

    def _texts(self, row: dict[str, Any]) -> tuple[str, str]:
        """Prompt and response as the chat template writes them."""
        from trl.data_utils import apply_chat_template, prepare_multimodal_messages

        messages = {
            "prompt": prepare_multimodal_messages(row["prompt"], list(row["images"])),
            "completion": prepare_multimodal_messages(row["completion"]),
        }
        texts = apply_chat_template(messages, self.processor)
        return texts["prompt"], texts["completion"]

    def _length(self, text: str) -> int:
        return len(self.processor.tokenizer(text, add_special_tokens=False)["input_ids"])


def _last(mask: Any, counts: Sequence[int]) -> Any:
    """bool [rows, tokens]: the last `counts[i]` tokens of row i that are no padding."""
    from_end = mask.flip(1).cumsum(1).flip(1)
    return (mask == 1) & (from_end <= mask.new_tensor(counts)[:, None])
