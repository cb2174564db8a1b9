"""What a family cannot do with a row, known before anything runs: such rows are rejected, with the family and its limit
named.

Most limits are the chat template's own (it raises); those that only transformers or the architecture knows stand here,
by the name of the processor's class.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from byorn.data.problem import RowProblem
from byorn.data.row import Row, user_message
from byorn.text import first_line

Limit = tuple[Callable[[Row], bool], str, str]

_NO_IMAGE: Limit = (
    lambda row: not row.images,
    "cannot take a row without an image",
    "leave the row out, or use another model",
)
_TURNS: Limit = (
    lambda row: len(row.prompt) > 1,
    "knows one question and one answer, no earlier turns and no system message",
    "keep the question only, or use another model",
)
# In transformers, text before an image attends to the padding images of other rows in the batch.
_ONE_IMAGE: Limit = (
    lambda row: len(row.images) != 1,
    "takes exactly one image a row",
    "leave the row out, or use another model",
)
LIMITS: dict[str, tuple[Limit, ...]] = {"Mllama": (_ONE_IMAGE,), "PaliGemma": (_NO_IMAGE, _TURNS)}


def conversation_of(row: Row, processor: Any) -> str:
    """The row as the chat template writes it, with whatever it adds: roles, dates, a system message of its own.

    Raises:
        RowProblem: The model of this processor cannot take the row.
    """
    family = type(processor).__name__.removesuffix("Processor")
    for beyond, reason, fix in LIMITS.get(family, ()):
        if beyond(row):
            raise RowProblem("prompt", f"{family} {reason}", fix)
    try:
        text = written(row, processor)
        lost = _left_out(row, text, _image_mark(processor))
    except Exception as error:  # templates raise what they like
        reason = f"{family}'s chat template refuses the conversation ({first_line(error)})"
        raise RowProblem("prompt", reason, "change its roles, or use another model") from None
    if lost:
        reason = f"{family}'s chat template leaves out {lost}"
        raise RowProblem("prompt", reason, "move it to the first user message, or use another model")
    return text


def _left_out(row: Row, text: str, image_mark: str) -> str:
    """What of the prompt is not in the text that the chat template made of it; empty if all is. Of earlier responses,
    templates leave out the reasoning on purpose.
    """
    if image_mark and text.count(image_mark) != len(row.images):
        return f"{len(row.images) - text.count(image_mark)} of {len(row.images)} images"
    for message in row.prompt:
        texts = [block["text"].strip() for block in message["content"] if block["type"] == "text"]
        if message["role"] != "assistant" and not all(part in text for part in texts):
            return f"text of a {message['role']} message"
    return ""


@lru_cache(maxsize=8)
def _image_mark(processor: Any) -> str:
    """What the chat template writes for an image; empty if nothing, as where the processor adds it (PaliGemma's)."""
    text = processor.apply_chat_template([user_message("hello", images=1)], tokenize=False)
    names = [getattr(processor, name, None) for name in ("image_token", "boi_token")]
    return next((name for name in names if name and text.count(name) == 1), "")


def written(row: Row, processor: Any) -> str:
    """The row as the chat template writes it."""
    answer: Any = {"role": "assistant", "content": [{"type": "text", "text": row.response}]}
    text: str = processor.apply_chat_template([*row.prompt, answer], tokenize=False)
    return text
