"""How many flagged steps are sampled together, where memory decides (`response_block` 0).

    K = SHARE x free bytes / (rows a step x (prompt + new tokens) x bytes of keys and values a token)

K is at least 1, at most the flagged steps of an epoch, and the least that any process finds. It is chosen when training
begins; every checkpoint keeps it, and a resumed run takes that one whatever is free then, so that it is the straight
one.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from byorn.models.cache import cache_bytes
from byorn.models.generate import encode_prompts
from byorn.runs.batches import length_order
from byorn.runs.narrate import say
from byorn.training.responses import SampledResponses, rows_at_once

if TYPE_CHECKING:
    from byorn.training.blocks import Blocks
    from byorn.training.trainer import ByornTrainer

SHARE = 0.25
"""Of the free memory, for keys and values. The rest is for what a layer computes from the prompts (in models with few
heads of keys and values about twice as much as those), gradients and optimizer. By counting; not measured on a GPU.
"""
ROWS = 32
"""Sampled together where no free memory of a GPU is known, or another source samples."""


def block_that_fits(free: float, row: float, rows: int, steps: int) -> int:
    """Flagged steps whose responses are sampled together, in [1, steps].

    Args:
        free: Room for them, in bytes.
        row: What a row takes of it.
        rows: Of a step that are sampled at once.
        steps: Flagged ones of an epoch.
    """
    return max(1, min(steps, int(free // (row * rows))))


class BlockByMemory(TrainerCallback):
    """Chooses the size of blocks, unless a checkpoint has given it.

    Args:
        trainer: Whose flagged steps they are.
        blocks: That get the size.
    """

    def __init__(self, trainer: "ByornTrainer", blocks: "Blocks") -> None:
        self.trainer = trainer
        self.blocks = blocks

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        size, reason = (self.blocks.size, "as before") if self.blocks.size else self._chosen()
        self.blocks.size = size
        if isinstance(self.blocks.source, SampledResponses):
            self.blocks.source.batch_size = rows_at_once(self.trainer.args, size)
        say(f"  response_block {size}: {reason}", response_block=size)

    def _chosen(self) -> tuple[int, str]:
        from accelerate.utils import gather_object

        free, row, reason = room(self.trainer, self.blocks.source)
        rows, steps = self.trainer.args.per_device_train_batch_size, self.trainer.sampler.steps[1]
        own = block_that_fits(free, row, rows, steps)
        return min(gather_object([own])), f"{reason}, in steps of {rows}; an epoch has {steps} flagged ones"


def room(trainer: "ByornTrainer", source: Any) -> tuple[float, int, str]:
    """What there is for rows that are sampled together, what each takes of it, and both in words: bytes where a GPU
    knows what is free, else a number of rows.
    """
    free = free_bytes(trainer.accelerator.device)
    if asked := trainer.args.response_batch_size:
        return asked, 1, f"{asked} rows at once, as given"
    if free is None or not isinstance(source, SampledResponses):
        return ROWS, 1, f"up to {ROWS} rows at once"
    row = longest_prompt(trainer) + source.sampling.max_new_tokens
    taken = row * cache_bytes(trainer.model)
    return SHARE * free, taken, f"{free / 1e9:.1f} GB are free, a row takes up to {taken / 1e6:.1f} MB"


def free_bytes(device: torch.device) -> int | None:
    """Bytes that are free on a GPU, PyTorch's own store included; None for other devices."""
    if device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(device)
    return int(free) + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def longest_prompt(trainer: "ByornTrainer") -> int:
    """Tokens of the prompt of the longest flagged row, by its text and number of images."""
    rows = trainer.train_dataset.select(np.flatnonzero(trainer.flagged))
    longest = rows[length_order(rows)[0]]
    return int(encode_prompts(trainer.processing_class, [longest])["input_ids"].shape[1])
