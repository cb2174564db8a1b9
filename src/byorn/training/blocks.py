"""Responses that are sampled ahead: those of a block of flagged steps in one call.

Decoding waits for memory, so that many rows take little longer than a few. What it costs is age: a response is of the
average at the first step of its block, and learned up to K - 1 flagged steps later. K = 1 is the paper's. Which steps
make a block is a function of seed and epoch, and every checkpoint keeps what is sampled and not yet learned: a resumed
run is the straight one.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from byorn.models.generate import Generated
from byorn.runs.folder import write_json
from byorn.training.block_size import BlockByMemory
from byorn.training.checkpoints import AHEAD
from byorn.training.collator import Record
from byorn.training.processes import own_rows
from byorn.training.responses import ResponseSource, draw
from byorn.training.sampler import GroupedSampler
from byorn.training.stripped import as_asked

if TYPE_CHECKING:
    from peft import PeftModel

    from byorn.training.trainer import ByornTrainer

Upcoming = Callable[[int, int], Mapping[int, Sequence[Record]]]
"""A flagged step and the size of blocks -> the flagged steps of its block from there on, each with its rows of this
process.
"""
_Key = tuple[str, int]


class Blocks(TrainerCallback):
    """A response source that asks another one for a block at a time.

    A row that comes twice in a block is answered once. What was not foreseen, as after a resume that skips no data, is
    sampled when it comes.

    Args:
        source: The other one.
        upcoming: Whose responses are sampled together.
        size: Flagged steps of a block; 0 until `BlockByMemory` has chosen it.
    """

    def __init__(self, source: ResponseSource, upcoming: Upcoming, size: int) -> None:
        self.source = source
        self.upcoming = upcoming
        self.size = self._given = size
        self._steps: tuple[int, ...] = ()
        self._responses: dict[_Key, Generated] = {}

    def __call__(self, model: "PeftModel", rows: Sequence[Record], step: int) -> list[Generated]:
        if step not in self._steps:
            block = self.upcoming(step, self.size)
            self._steps, self._responses = tuple(block), {}
            self._sample(model, [row for later in block.values() for row in later], step)
        self._sample(model, [row for row in rows if _key(row) not in self._responses], step)
        return [self._responses[_key(row)] for row in rows]

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        if not state.global_step:  # a new run, perhaps the second of this trainer
            self._steps, self._responses = (), {}

    def age(self, step: int) -> int:
        """Optimizer steps since the responses of a step were sampled."""
        return step - min(self._steps, default=step)

    def _sample(self, model: "PeftModel", rows: Sequence[Record], step: int) -> None:
        distinct = {_key(row): row for row in rows}
        if distinct:
            drawn = draw(self.source, model, list(distinct.values()), step)
            self._responses.update(zip(distinct, drawn, strict=True))

    def save(self, checkpoint: Path) -> None:
        """Write the block into a checkpoint; all processes must call it."""
        from accelerate.utils import gather_object

        own = [{"id": row, "turn": turn, **asdict(found)} for (row, turn), found in self._responses.items()]
        content = {"size": self.size, "steps": list(self._steps), "responses": gather_object(own)}
        write_json(checkpoint / AHEAD, content)

    def load(self, checkpoint: Path) -> None:
        """Go on in the block of a checkpoint; one without begins a new block."""
        path = checkpoint / AHEAD
        if path.is_file():
            kept = json.loads(path.read_text(encoding="utf-8"))
            self.size = self._given or kept.get("size", 0)
            self._steps = tuple(kept["steps"])
            self._responses = {(one.pop("id"), one.pop("turn")): Generated(**one) for one in kept["responses"]}


def sample_ahead(trainer: "ByornTrainer", source: ResponseSource) -> Blocks:
    """A source that asks another one for blocks of the trainer's flagged steps, among the trainer's callbacks."""
    blocks = Blocks(source, partial(upcoming, trainer, trainer.sampler), trainer.args.response_block)
    trainer.add_callback(blocks)
    if not blocks.size:
        trainer.add_callback(BlockByMemory(trainer, blocks))
    return blocks


def upcoming(trainer: "ByornTrainer", sampler: GroupedSampler, step: int, size: int) -> dict[int, list[Record]]:
    """The flagged steps of the block of a step from there on, with their rows of this process."""
    within = step % sum(sampler.steps)
    block = sampler.block(within, size)
    chosen = {step - within + at: own_rows(group, trainer.args) for at, group in block.items()}
    return {
        at: [
            as_asked(row, trainer.stripped)
            for row in trainer.data_collator([trainer.train_dataset[number] for number in rows])["rows"]
        ]
        for at, rows in chosen.items()
    }


def _key(row: Record) -> _Key:
    return row["id"], row.get("turn", 0)
