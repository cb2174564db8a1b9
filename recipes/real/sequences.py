"""Token sequences for alignment: a question about a picture once, and several answers that do not see each other."""

from collections.abc import Sequence as List
from dataclasses import dataclass
from typing import Any

import torch

SHARED = -1
"""Number of the part that every answer sees: the picture and the question."""
PADDING = -2


@dataclass(frozen=True)
class Sequence:
    """A question, about a picture or not, with its answers.

    Attributes:
        ids: Tokens; those of the picture are placeholders.
        part: For each token `SHARED` or the number of its answer.
        position: Position of each token as if its answer were the only one.
        image: Where the picture's tokens begin, and its features [tokens, channels]; None without a picture.
    """

    ids: list[int]
    part: list[int]
    position: list[int]
    image: tuple[int, torch.Tensor] | None


class Writer:
    """Questions and answers to tokens, in the words of the chat template."""

    def __init__(self, tokenizer: Any):
        self.tokenizer = tokenizer
        self.image_id = tokenizer.convert_tokens_to_ids("<image>")

    def write(self, image: torch.Tensor | None, question: str, answers: List[str]) -> Sequence:
        before = self._ids("<|im_start|>user\n")
        if image is None:
            shown, asked = [], question
        else:
            shown, asked = [self.image_id] * len(image), f"\n{question}"
        shared = [*before, *shown, *self._ids(f"{asked}<|im_end|>\n<|im_start|>assistant\n")]
        ids, part, position = list(shared), [SHARED] * len(shared), list(range(len(shared)))
        for number, answer in enumerate(answers):
            said = self._ids(f"{answer}<|im_end|>")
            ids += said
            part += [number] * len(said)
            position += range(len(shared), len(shared) + len(said))
        return Sequence(ids, part, position, None if image is None else (len(before), image))

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])


@dataclass(frozen=True)
class Batch:
    """Sequences side by side, padded at the end.

    Attributes:
        ids, positions: int64 [n, length].
        is_image: bool [n, length].
        mask: float [n, 1, length, length], 0 where a token sees another, else -inf.
        images: [pictures, tokens, channels], or None.
        rows, answers, before, targets: One entry an answer's token: its sequence, the number of its answer, the place
            of the token that predicts it, and what it is.
        counts: int [n]: answers of each sequence.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    is_image: torch.Tensor
    mask: torch.Tensor
    images: torch.Tensor | None
    rows: torch.Tensor
    answers: torch.Tensor
    before: torch.Tensor
    targets: torch.Tensor
    counts: torch.Tensor


def collate(batch: list[Sequence]) -> Batch:
    """A token sees those before it that are of its own answer or shared."""
    longest = max(len(item.ids) for item in batch)
    ids, positions, part = (
        torch.tensor([[*values, *[fill] * (longest - len(values))] for values in column])
        for column, fill in (
            ([item.ids for item in batch], 0),
            ([item.position for item in batch], 0),
            ([item.part for item in batch], PADDING),
        )
    )
    is_image = torch.zeros_like(ids, dtype=torch.bool)
    images = []
    for row, item in enumerate(batch):
        if item.image:
            start, tokens = item.image
            is_image[row, start : start + len(tokens)] = True
            images.append(tokens)
    earlier = torch.ones(longest, longest, dtype=torch.bool).tril()
    sees = earlier & ((part[:, :, None] == part[:, None, :]) | (part[:, None, :] == SHARED))
    rows, at = (part >= 0).nonzero(as_tuple=True)
    first = part[rows, at - 1] != part[rows, at]
    last_shared = (part == SHARED).sum(1) - 1
    return Batch(
        ids,
        positions,
        is_image,
        torch.where(sees, 0.0, torch.finfo(torch.float32).min)[:, None],
        torch.stack(images) if images else None,
        rows,
        part[rows, at],
        torch.where(first, last_shared[rows], at - 1),
        ids[rows, at],
        part.amax(1) + 1,
    )
