"""Rows of every shape for the families, and the likelihood of a response through transformers alone."""

import io
from itertools import takewhile
from typing import Any

import numpy as np
import torch
from PIL import Image

from byorn.data.row import ImageFile, Row, user_message

# What ends a response in each family's template; LLaVA-1.5's writes nothing, so byorn appends it to the response.
ENDS = {
    "llava": "</s>", "llava_next": "</s>", "llava_onevision": "<|im_end|>", "qwen2_5_vl": "<|im_end|>",
    "qwen3_vl": "<|im_end|>", "internvl": "<|im_end|>", "smolvlm": "<end_of_utterance>",
    "idefics3": "<end_of_utterance>",
    "gemma3": "<end_of_turn>", "paligemma": "<eos>", "mllama": "<|eot_id|>",
}  # fmt: skip

# Rows of `mixed_rows` that a family cannot take.
REFUSED = {"mllama": {"text", "two", "later"}, "paligemma": {"text", "turns", "later", "system"}}


def picture(seed: int, width: int, height: int) -> ImageFile:
    """Colored noise: unlike a plain color, it changes when it is cut, turned or put in another's place."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((width, height)).save(buffer, "PNG")
    return ImageFile(data=buffer.getvalue())


def assistant(text: str) -> Any:
    return {"role": "assistant", "content": [{"type": "text", "text": text}]}


def system(text: str) -> Any:
    return {"role": "system", "content": [{"type": "text", "text": text}]}


def mixed_rows() -> list[Row]:
    """No image, one, several of different shapes; one turn, several; a system message; short responses and long
    ones.
    """
    tall, wide, square = picture(0, 40, 64), picture(1, 64, 40), picture(2, 56, 56)
    answered = [user_message("what color is this?", 1), assistant("a red square"), user_message("sure?")]
    later = [user_message("what is this?", 1), assistant("a square"), user_message("and what are these two?", 2)]
    return [
        Row("text", 0, [user_message("say a color!")], "green"),
        Row("one", 0, [user_message("what color is this?", 1)], "a red square", [tall]),
        Row("wide", 0, [user_message("what?", 1)], "red", [wide]),
        Row("two", 0, [user_message("which two?", 2)], "a red square and a blue square", [wide, square]),
        Row("turns", 1, answered, "yes, a red square", [square]),
        Row("later", 1, later, "a blue square, a green square", [tall, square, wide]),
        Row("system", 0, [system("be short"), user_message("what?", 1)], "über Grün 緑", [tall]),
    ]


@torch.no_grad()
def nll_through_transformers(model: Any, processor: Any, row: Row, end: str) -> tuple[float, int]:
    """Mean negative log-likelihood of the response in nats a token, and its number of tokens, from one plain pass over
    one row.

    Conventions: the prompt is what the conversation with the response shares with the conversation that asks for one;
    the response is everything after it up to the last end of turn, which counts; what the template writes behind that
    does not. No token is added by the tokenizer. float32 logits, log-softmax in float64.
    """
    asked = processor.apply_chat_template(row.prompt, add_generation_prompt=True, tokenize=False)
    told = processor.apply_chat_template([*row.prompt, assistant(row.response)], tokenize=False)
    told = told[: told.rindex(end) + len(end)]
    options = {"images": [[image.load() for image in row.images]] if row.images else None, "return_tensors": "pt"}
    if type(processor).__name__ == "PaliGemmaProcessor":  # its response is a suffix, read from left to right
        whole = processor(text=[asked], suffix=[row.response], **options)
        start = int((whole["token_type_ids"] == 0).sum())
    else:
        shared = "".join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], zip(asked, told, strict=False)))
        whole = processor(text=[told], add_special_tokens=False, **options)
        start = processor(text=[shared], add_special_tokens=False, **options)["input_ids"].shape[1]
    log_probs = torch.log_softmax(model(**whole).logits[0].double(), dim=-1)
    targets = whole["input_ids"][0, start:]
    return float(-log_probs[start - 1 : -1].gather(1, targets[:, None]).mean()), len(targets)
