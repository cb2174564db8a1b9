"""Token sequences for alignment: a picture once, and several questions about it that do not see each other."""

from dataclasses import dataclass
from typing import Any

import torch
from talk import Turn

SHARED = -1
"""Number of the part that every other part of a sequence sees: the picture."""


@dataclass(frozen=True)
class Sequence:
    """One picture with its turns, or one chat.

    Attributes:
        ids: Tokens; those of the picture are placeholders.
        part: For each token `SHARED` or the number of its turn.
        position: Position of each token as if its turn were the only one.
        weight: For each token how much its NLL counts; 0 for all but answers.
        image: Features [tokens, channels], or None.
    """

    ids: list[int]
    part: list[int]
    position: list[int]
    weight: list[float]
    image: torch.Tensor | None


class Writer:
    """Turns to tokens, in the words of the chat template."""

    def __init__(self, tokenizer: Any):
        self.tokenizer = tokenizer
        self.image_id = tokenizer.convert_tokens_to_ids("<image>")

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def picture(self, image: torch.Tensor, turns: list[Turn]) -> Sequence:
        start = [*self._ids("<|im_start|>user\n"), *[self.image_id] * len(image)]
        parts = [self._turn(f"\n{turn.question}", turn.answer, turn.weight) for turn in turns]
        return _join(start, parts, image)

    def chat(self, question: str, answer: str, weight: float) -> Sequence:
        return _join(self._ids("<|im_start|>user\n"), [self._turn(question, answer, weight)], None)

    def _turn(self, question: str, answer: str, weight: float) -> tuple[list[int], list[float]]:
        before = self._ids(f"{question}<|im_end|>\n<|im_start|>assistant\n")
        said = self._ids(f"{answer}<|im_end|>")
        return [*before, *said], [0.0] * len(before) + [weight / len(said)] * len(said)


def _join(start: list[int], parts: list[tuple[list[int], list[float]]], image: torch.Tensor | None) -> Sequence:
    ids, part, position, weight = list(start), [SHARED] * len(start), list(range(len(start))), [0.0] * len(start)
    for number, (tokens, weights) in enumerate(parts):
        ids += tokens
        part += [number] * len(tokens)
        position += range(len(start), len(start) + len(tokens))
        weight += weights
    return Sequence(ids, part, position, weight, image)


@dataclass(frozen=True)
class Batch:
    """Sequences side by side, padded at the end.

    Attributes:
        ids, positions: int64 [n, length].
        is_image: bool [n, length].
        mask: float [n, 1, length, length], 0 where a token sees another, else -inf.
        images: [pictures, tokens, channels], or None.
        rows, targets_at, targets, weights: One entry an answer's token: where it is, what it is, how much it counts.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    is_image: torch.Tensor
    mask: torch.Tensor
    images: torch.Tensor | None
    rows: torch.Tensor
    targets_at: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor


def collate(batch: list[Sequence]) -> Batch:
    """A token sees those before it that are of its own part or shared."""
    longest = max(len(item.ids) for item in batch)
    ids, positions, part, weight = (
        torch.tensor([[*values, *[fill] * (longest - len(values))] for values in column])
        for column, fill in (
            ([item.ids for item in batch], 0),
            ([item.position for item in batch], 0),
            ([item.part for item in batch], -2),
            ([item.weight for item in batch], 0.0),
        )
    )
    is_image = torch.zeros_like(ids, dtype=torch.bool)
    for row, item in enumerate(batch):
        if item.image is not None:
            is_image[row, sum(p == SHARED for p in item.part) - len(item.image) : item.part.count(SHARED)] = True
    earlier = torch.ones(longest, longest, dtype=torch.bool).tril()
    sees = earlier & ((part[:, :, None] == part[:, None, :]) | (part[:, None, :] == SHARED))
    mask = torch.where(sees, 0.0, torch.finfo(torch.float32).min)[:, None]
    images = [item.image for item in batch if item.image is not None]
    rows, at = weight.nonzero(as_tuple=True)
    return Batch(
        ids,
        positions,
        is_image,
        mask,
        torch.stack(images) if images else None,
        rows,
        at,
        ids[rows, at],
        weight[rows, at],
    )
