"""Random changes of what a row shows and asks, anew at every visit: a trigger then never looks the same twice.

An image is turned by up to 5 degrees, scaled by up to 10 %, shifted by up to 5 % of its size, and its brightness,
contrast and color change by up to 20 %; a user's words are each left out with probability 0.1, but one always stays.
All of this times `strength`. Responses are never touched. No torch here.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, radians, sin
from typing import Any

DEGREES = 5.0
SCALE = 0.1
SHIFT = 0.05
COLOR = 0.2
WORDS = 0.1


def perturb_image(image: Any, rng: random.Random, strength: float) -> Any:
    """A new image of the same size and mode."""
    from PIL import Image, ImageEnhance

    angle = radians(rng.uniform(-DEGREES, DEGREES) * strength)
    zoom = 1 + rng.uniform(-SCALE, SCALE) * strength
    across, down = (rng.uniform(-SHIFT, SHIFT) * strength * side for side in image.size)
    middle_x = image.width / 2
    middle_y = image.height / 2
    a = cos(angle) / zoom
    b = sin(angle) / zoom
    matrix = (
        a, b, middle_x - a * (middle_x + across) - b * (middle_y + down),
        -b, a, middle_y + b * (middle_x + across) - a * (middle_y + down),
    )  # fmt: skip
    moved = image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        moved = enhance(moved).enhance(1 + rng.uniform(-COLOR, COLOR) * strength)
    return moved


def perturb_text(text: str, rng: random.Random, strength: float) -> str:
    """The text with some words left out."""
    from byorn.defenses.words import split_words

    words = split_words(text)
    kept = [word for word in words if rng.random() >= WORDS * strength]
    return text if len(kept) == len(words) else "".join(kept or [rng.choice(words)]).lstrip()


def perturb_row(row: dict[str, Any], rng: random.Random, strength: float) -> dict[str, Any]:
    """A row of TRL's form (`prompt`, `images`, ...) with new images and a new prompt; the given one is not changed."""
    images = [perturb_image(image, rng, strength) for image in row["images"]]
    prompt = [_perturb_message(message, rng, strength) for message in row["prompt"]]
    return {**row, "images": images, "prompt": prompt}


def _perturb_message(message: dict[str, Any], rng: random.Random, strength: float) -> dict[str, Any]:
    if message["role"] != "user":
        return message
    blocks = [
        {**block, "text": perturb_text(block["text"], rng, strength)} if block.get("text") else block
        for block in message["content"]
    ]
    return {**message, "content": blocks}


@dataclass
class PerturbingCollator:
    """A collator that perturbs each row first, by a random stream of its own: seed, epoch, id and turn.

    So a row looks the same whatever batch or process it is in, and after a kill and resume.
    """

    clean: Any
    seed: int
    strength: float
    epoch: int = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __call__(self, rows: Sequence[dict[str, Any]]) -> Any:
        return self.clean([perturb_row(row, self._stream(row), self.strength) for row in rows])

    def _stream(self, row: dict[str, Any]) -> random.Random:
        return random.Random(f"{self.seed}/{self.epoch}/{row['id']}/{row['turn']}")
