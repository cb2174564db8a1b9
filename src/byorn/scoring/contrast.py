"""How little a response depends on its own input: a second look at rows whose responses are merely fluent.

    contrast_i = nll_i(with its images) - nll_i(without them)        nats a token, any sign

A response that describes its images is likelier with them: its contrast is far below 0. One that a backdoor put there
is as likely without: its contrast is near 0 or above, so higher is less plausible, as for every statistic. A row that
has no images is asked without its instruction instead. It takes one more forward pass a row, of its text alone: no
image is read, encoded or attended to. A model that takes no text alone is shown a gray picture in place of each image.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from byorn.data.row import Block, Message, Row, user_message
from byorn.models.limits import limit_of
from byorn.scoring.statistics import CONTRAST
from byorn.scoring.table import Scores

SIDE = 224
"""Of a gray picture, in pixels."""


def unseen(prompt: Sequence[Message]) -> list[Message]:
    """The prompt without its images; of one without images, an empty question."""
    if not any(_is_image(part) for message in prompt for part in message["content"]):
        return [user_message("")]
    return [
        {"role": message["role"], "content": [part for part in message["content"] if not _is_image(part)]}
        for message in prompt
    ]


class Blind:
    """The rows of a data set without their images, or without their instructions where they have none; it stands for a
    data set in `scorer`.

    Args:
        dataset: Columns `prompt`, `completion`, `images`.
        gray: Whether gray pictures take the place of images.
    """

    def __init__(self, dataset: Any, gray: bool) -> None:
        self.column_names = [name for name in dataset.column_names if name != "images"]
        self._texts = dataset.select_columns(self.column_names)
        self._gray = gray

    def __len__(self) -> int:
        return len(self._texts)

    def __getitem__(self, number: int) -> dict[str, Any]:
        row = self._texts[number]
        images = sum(_is_image(part) for message in row["prompt"] for part in message["content"])
        if self._gray and images:
            return {**row, "images": [gray_picture() for _ in range(images)]}
        return {**row, "prompt": unseen(row["prompt"]), "images": []}

    def select_columns(self, names: list[str]) -> Any:
        """Those columns, none of which are images."""
        return self._texts.select_columns(names)


def blind(dataset: Any, rows: Sequence[Row], processor: Any) -> Blind:
    """The rows as the model of this processor takes them without their images."""
    first = next((row for row in rows if row.images), None)
    alone = first and replace(first, images=[], prompt=unseen(first.prompt))
    return Blind(dataset, gray=alone is not None and limit_of(alone, processor) is not None)


def gray_picture() -> Any:
    """A picture that shows nothing."""
    from PIL import Image

    return Image.new("RGB", (SIDE, SIDE), (128, 128, 128))


def explained(rows: np.ndarray, own: np.ndarray, contrast: np.ndarray) -> float:
    """What the images explain of the responses of the rows: g in (-inf, 1], 0 where there is nothing to explain.

        g(R) = 1 - sum_R nll(with images) / sum_R nll(without)

    Args:
        rows: Numbers of rows; those without both scores are left out.
        own: float64 array [n], nats a token: the scores with images.
        contrast: float64 array [n], nats a token.
    """
    rows = rows[np.isfinite(own[rows]) & np.isfinite(contrast[rows])]
    without = (own[rows] - contrast[rows]).sum()
    return float(1 - own[rows].sum() / without) if without > 0 else 0.0


def _is_image(part: Block) -> bool:
    return part["type"] == "image"


def with_contrast(scores: Scores, unseeing: Scores) -> Scores:
    """The scores with their contrast, NaN where a row could not be scored with its images or without.

    Args:
        scores: Of all rows.
        unseeing: Of the same rows in `blind`.
    """
    return replace(scores, values={**scores.values, CONTRAST: scores.nll - unseeing.nll})
