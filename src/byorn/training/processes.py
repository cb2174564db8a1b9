"""What several processes must not do without a word: train apart from each other, shard weights in a way that loses the
average, or go on from a checkpoint whose optimizer steps had another size.
"""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from transformers import TrainingArguments

from byorn.errors import ConfigError, MismatchError
from byorn.models.sharding import wanted_layout
from byorn.runs.folder import read_json, write_json
from byorn.training.checkpoints import STEPS

if TYPE_CHECKING:
    from byorn.training.config import ByornConfig

logger = logging.getLogger(__name__)


def require_processes(args: "ByornConfig") -> None:
    """Refuse layouts of processes that byorn would get wrong; `recipes/accelerate/` says what is wrong with each.

    Raises:
        ConfigError: The weights would be sharded in another way than byorn's, or the average lost, or the processes do
            not find each other.
    """
    wanted_layout(args.fsdp_plugin_args)
    deepspeed = args.deepspeed_plugin
    if deepspeed is not None and (deepspeed.zero_stage == 3 or args.replacement == "ema"):
        raise ConfigError("deepspeed: its checkpoints lose the average that writes responses; use DDP (plain torchrun)")
    started = int(os.environ.get("WORLD_SIZE", 1)) if "RANK" in os.environ else 1
    if args.world_size != started:
        raise ConfigError(
            f"{started} processes were started, but each would train by itself: no GPU; set use_cpu=True to use CPUs"
        )


def settle_processes(args: "ByornConfig") -> None:
    """`require_processes`, and `use_one_gpu`."""
    require_processes(args)
    use_one_gpu(args)


def use_one_gpu(args: TrainingArguments) -> None:
    """Keep to the first GPU where one process sees several: the Trainer would copy the model to all of them
    (DataParallel), with other optimizer steps and no adapter of its own on the copies.
    """
    if args.n_gpu > 1:
        logger.warning(
            f"{args.n_gpu} GPUs, of which one process uses one: torchrun --nproc_per_node {args.n_gpu} uses all"
        )
        args._n_gpu = 1


class SameSteps:
    """Keeps with every checkpoint how many rows an optimizer step has, and what was decided about which rows, and
    refuses to go on with others.

    The order of rows would be another one, and those to skip would not be those that were seen; a row that somebody
    dropped meanwhile would have been learned. The same number from other processes and batches goes on with the same
    steps (dropout draws differ).
    """

    def __init__(self, rows: int, decisions: str) -> None:
        self.now = {"rows": rows, "decisions": decisions}

    def save(self, checkpoint: Path) -> None:
        """Write it into a checkpoint."""
        write_json(checkpoint / STEPS, self.now)

    def load(self, checkpoint: Path) -> None:
        """Compare it with what a checkpoint has.

        Raises:
            MismatchError: It was made with others.
        """
        before = self.now | (read_json(checkpoint / STEPS) or {})
        if before["rows"] != self.now["rows"]:
            raise MismatchError(
                f"checkpoint: made with {before['rows']} rows an optimizer step, now {self.now['rows']} (batch size x "
                "processes x accumulation); keep the product, or start anew in another folder"
            )
        if before["decisions"] != self.now["decisions"]:
            raise MismatchError(
                "checkpoint: made with other flags or decisions about the rows, so what it has learned is not what "
                "should be learned now; put them back, or start anew in another folder"
            )


def own_rows(group: Sequence[int], args: TrainingArguments) -> list[int]:
    """Of the rows of an optimizer step those of this process: each takes the batches in turn, as Accelerate deals
    them.
    """
    size = args.train_batch_size
    starts = range(args.process_index * size, len(group), args.world_size * size)
    return [row for start in starts for row in group[start : start + size]]


def rows_a_step(args: TrainingArguments) -> int:
    """Rows that one optimizer step takes: batch size x processes x accumulation steps."""
    rows: int = args.train_batch_size * args.world_size * args.gradient_accumulation_steps
    return rows
