"""Rows for measuring: of a user's data, drawn captions, or made to a number of images and of tokens."""

import io
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from byorn.data.row import ImageFile, Row, user_message

WORDS = "a red ring and the small green box near two old trees on gray snow under one bright moon with long shadows"


def drawn_rows(count: int, seed: int, folder: Path) -> Sequence[Row]:
    """Captions of drawn scenes; the files are written into `folder`."""
    from byorn.bench.tasks import load_task

    return load_task("captions", count, 1, seed, folder).train


def made_rows(count: int, seed: int, tokenizer: Any, *, tokens: int, images: int, side: int) -> list[Row]:
    """Rows with responses of so many tokens and so many pictures of `side` x `side` pixels, each its own."""
    rng, pixels = random.Random(seed), np.random.default_rng(seed)
    return [
        Row(
            id=f"row-{index}",
            turn=0,
            prompt=[user_message("Describe what you see.", images)],
            response=text_of(tokenizer, tokens, rng),
            images=[ImageFile(data=_picture(side, pixels)) for _ in range(images)],
        )
        for index in range(count)
    ]


def text_of(tokenizer: Any, tokens: int, rng: random.Random) -> str:
    """Words that come to so many tokens, give or take one at the end."""
    text = " ".join(rng.choice(WORDS.split()) for _ in range(tokens))  # a word has at least one token
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    cut: str = tokenizer.decode(ids[:tokens])
    return cut


def with_text(source: Any, tokenizer: Any) -> Any:
    """A response source whose responses keep their number of tokens, and get a text that the tokenizer can spell: of a
    model with random weights nothing would be left to learn.
    """

    def sample(model: Any, rows: Any, step: int) -> Any:
        rng = random.Random(step)
        return [
            replace(response, text=text_of(tokenizer, response.tokens, rng)) for response in source(model, rows, step)
        ]

    return sample


def _picture(side: int, rng: np.random.Generator) -> bytes:
    """A JPEG of soft blots."""
    from PIL import Image

    small = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    buffer = io.BytesIO()
    small.resize((side, side), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
