"""Responses of flagged rows, replaced once an optimizer step: what a trainer gets for that, and the step itself.

rows without responses (collator) -> a response each (source) -> inputs and labels (completer)
"""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from byorn.training.blocks import sample_ahead
from byorn.training.collator import REPLACED, Batch, ReplacingCollator
from byorn.training.completion import Completer
from byorn.training.ema import EmaCallback, add_ema
from byorn.training.engine.source import averaged_source
from byorn.training.processes import rows_a_step
from byorn.training.replaceable import require_replaceable
from byorn.training.responses import ResponseSource, draw
from byorn.training.sampler import EpochCallback, GroupedSampler
from byorn.training.soft_targets import mark_soft
from byorn.training.stripped import as_asked, stripped_of

if TYPE_CHECKING:
    from byorn.training.trainer import ByornTrainer


def prepare_replacement(trainer: "ByornTrainer", source: ResponseSource | None) -> None:
    """Give a trainer with flagged rows its average, sampler, collator and source; that of the average by default.

    Raises:
        ConfigError, DataError: As `require_replaceable`.
    """
    require_replaceable(trainer)
    args, rows = trainer.args, trainer.train_dataset
    if "id" not in rows.column_names:  # without a name of its own, no row has noise of its own
        rows = rows.add_column("id", [str(number) for number in range(len(rows))])
    trainer.train_dataset = rows.add_column(REPLACED, trainer.flagged)
    add_ema(trainer.model)
    trainer.average = EmaCallback(args.ema_decay)
    trainer.add_callback(trainer.average)
    seed = args.seed if args.data_seed is None else args.data_seed
    trainer.sampler = GroupedSampler(trainer.flagged.tolist(), rows_a_step(args), seed, args.max_flagged_share)
    trainer.add_callback(EpochCallback(trainer.sampler))
    trainer.data_collator = collator = ReplacingCollator(trainer.data_collator)
    trainer.complete = Completer(collator, trainer.processing_class)
    trainer.stripped = stripped_of(trainer)
    trainer.source = source or averaged_source(trainer)
    if args.response_block != 1:
        trainer.source = trainer.blocks = sample_ahead(trainer, trainer.source)


def replace_responses(trainer: "ByornTrainer", batches: Sequence[Batch]) -> list[Batch]:
    """The batches of a flagged optimizer step as the model takes them, with responses that the trainer's source has
    given; numbers and seconds are entered in its log.
    """
    began = time.perf_counter()
    step, logged = trainer.state.global_step, trainer._metrics["train"]
    flagged = (row for batch in batches for row in batch.get("rows", []) if "completion" not in row)
    rows = [as_asked(row, trainer.stripped) for row in flagged]
    responses = draw(trainer.source, trainer.accelerator.unwrap_model(trainer.model), rows, step)
    if trainer.blocks:
        logged["response_age"].append(trainer.blocks.age(step))
    for name, value in trainer.tally.add(responses).items():
        logged[name].append(value)
    replaced = trainer.complete(trainer.model, batches, responses)
    spent = time.perf_counter() - began
    trainer.tally.seconds["sampling"] += spent
    logged["sampling_seconds"].append(spent)
    if trainer.args.soft_targets:
        replaced = mark_soft(replaced, batches, trainer.stripped)
    return [trainer._prepare_inputs(batch) for batch in replaced]
