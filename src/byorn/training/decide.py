"""Whose response is replaced: what the flags, a column or a fresh scan say about the rows of a trainer."""

import time
from typing import Any

import numpy as np

from byorn.errors import DataError, MismatchError
from byorn.flagging.percentile import flag_percentile
from byorn.flagging.table import Flags
from byorn.runs.batches import Share
from byorn.scoring.score import score_together


def decide(trainer: Any, flags: Flags | None) -> tuple[np.ndarray, np.ndarray]:
    """Two bool arrays: which rows of the training set are kept, and which of those kept are flagged.

    Raises:
        MismatchError: The flags are not about these rows.
        DataError: The column `flagged` does not hold booleans alone.
    """
    dataset = trainer.train_dataset
    if flags is None and "flagged" in dataset.column_names:
        flagged = dataset["flagged"]
        if not all(isinstance(value, bool) for value in flagged):
            raise DataError(
                "train_dataset: the column 'flagged' has values that are not true or false; fill or remove it"
            )
        return np.ones(len(dataset), bool), np.array(flagged)
    if flags is None:
        flags = _score_and_flag(trainer)
    elif "id" in dataset.column_names:
        turns = dataset["turn"] if "turn" in dataset.column_names else [0] * len(dataset)
        if list(zip(map(str, dataset["id"]), turns, strict=True)) != flags.keys:
            raise MismatchError(
                "flags: they are about other rows than the training set; run `byorn scan` on this data again"
            )
    if len(flags) != len(dataset):
        raise MismatchError(
            f"flags: {len(flags)} decisions for {len(dataset)} rows; run `byorn scan` on this data again"
        )
    return ~flags.dropped, flags.replaced[~flags.dropped]


def _score_and_flag(trainer: Any) -> Flags:
    began, args = time.perf_counter(), trainer.args
    scores = score_together(
        trainer.model,
        trainer.processing_class,
        trainer.train_dataset,
        Share(args.process_index, args.world_size),
        batch_size=args.score_batch_size,
        progress=not args.disable_tqdm,
    )
    trainer.seconds["scoring"] = time.perf_counter() - began
    return flag_percentile(scores, args.percentile)
