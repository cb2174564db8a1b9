"""Rows of every shape, and the likelihood of a response computed the slow and obvious way: without TRL, batches or
padding.
"""

import copy
from typing import Any

import torch

from byorn.data.row import ImageFile, Row, user_message
from byorn.embedded.architecture import END, TEMPLATE
from byorn.testing import tiny_rows

NEWLINE_AFTER_END = TEMPLATE.replace("{{ '<|end|>' }}", "{{ '<|end|>\n' }}")
NO_END = TEMPLATE.replace("{{ '<|end|>' }}", "")


def assistant(text: str) -> dict[str, Any]:
    """An assistant message."""
    return {"role": "assistant", "content": [{"type": "text", "text": text}]}


def with_template(processor: Any, template: str) -> Any:
    """A copy of the processor with another chat template."""
    changed = copy.deepcopy(processor)
    changed.chat_template = template
    return changed


def mixed_rows() -> list[Row]:
    """No image, one, two; one turn, several; a system message; responses from one letter to a long sentence."""
    red, blue, green = (row.images[0] for row in tiny_rows(3))
    system: Any = {"role": "system", "content": [{"type": "text", "text": "be short"}]}
    several: list[Any] = [user_message("what is this?", 1), assistant("a red square"), user_message("sure?")]
    late: list[Any] = [
        user_message("hello"),
        assistant("hi"),
        user_message("and these?", 2),
        assistant("two"),
        user_message("ok?", 1),
    ]
    return [
        *tiny_rows(4),
        Row("text", 0, [user_message("say a color")], "green"),
        Row("pair", 0, [user_message("which two?", 2)], "a red square and a blue square", [red, blue]),
        Row("system", 0, [system, user_message("what?", 1)], "r", [red]),
        Row("turns", 1, several, "yes, a red square", [green]),
        Row("late", 2, late, "über Grün 緑", [red, blue, green]),
    ]


def broken(data: bytes, name: str = "broken") -> Row:
    """A row whose image cannot be decoded."""
    return Row(name, 0, [user_message("what color?", 1)], "red", [ImageFile(data=data)])


@torch.no_grad()
def token_log_probs_of(model: Any, processor: Any, row: Row) -> torch.Tensor:
    """float64 [K]: one row, one plain forward pass, all logits, log_softmax in float64, up to the last end of turn."""
    asked = processor.apply_chat_template(row.prompt, add_generation_prompt=True, tokenize=False)
    told = processor.apply_chat_template([*row.prompt, assistant(row.response)], tokenize=False)
    told = told[: told.rindex(END) + len(END)] if END in told[len(asked) :] else told
    images = [image.load() for image in row.images] or None
    known = processor(images=images, text=asked, add_special_tokens=False, return_tensors="pt")["input_ids"].shape[1]
    inputs = processor(images=images, text=told, add_special_tokens=False, return_tensors="pt")
    log_probs = torch.log_softmax(model(**inputs).logits[0].double(), dim=-1)
    targets = inputs["input_ids"][0, known:]
    return log_probs[known - 1 : -1].gather(1, targets[:, None])[:, 0]


def nll_of(model: Any, processor: Any, row: Row) -> float:
    """The paper's score of one row."""
    return float(-token_log_probs_of(model, processor, row).mean())
