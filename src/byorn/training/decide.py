"""Whose response is replaced: what the flags, a column or a fresh scan say about the rows of a trainer."""

import json
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from byorn.errors import DataError, MismatchError
from byorn.flagging.table import Flags
from byorn.scoring.table import Scores
from byorn.training.scoring import score_and_flag

if TYPE_CHECKING:
    from datasets import Dataset

    from byorn.training.trainer import ByornTrainer


@dataclass(frozen=True)
class Decision:
    """What happens to the rows of a training set.

    Attributes:
        kept: bool array [n], rows that no person has dropped.
        flagged: bool array, one a kept row: whose response is replaced.
        flags: The flags behind it; None where a column of the data set says it.
        scores: The scores behind those, where the trainer has them.
    """

    kept: np.ndarray
    flagged: np.ndarray
    flags: Flags | None = None
    scores: Scores | None = None


def decide(trainer: "ByornTrainer", flags: Flags | None) -> Decision:
    """Decide by `flags`, else by the column `flagged`, else by scoring the rows now.

    Raises:
        MismatchError: The flags, or the scores in `output_dir`, are not about these rows.
        DataError: The column `flagged` does not hold booleans alone.
    """
    dataset = trainer.train_dataset
    scores = None
    if flags is None and "flagged" in dataset.column_names:
        return _by_column(dataset)
    if flags is None:
        scores, flags = score_and_flag(trainer)
    else:
        _require_same_rows(flags, dataset)
    return Decision(~flags.dropped, flags.replaced[~flags.dropped], flags, scores)


def _by_column(dataset: "Dataset") -> Decision:
    flagged = dataset["flagged"]
    if not all(isinstance(value, bool) for value in flagged):
        raise DataError("train_dataset: the column 'flagged' has values that are not true or false; fill or remove it")
    return Decision(np.ones(len(dataset), bool), np.array(flagged))


def _require_same_rows(flags: Flags, dataset: "Dataset") -> None:
    if "id" in dataset.column_names:
        turns = dataset["turn"] if "turn" in dataset.column_names else [0] * len(dataset)
        if list(zip(map(str, dataset["id"]), turns, strict=True)) != flags.keys:
            raise MismatchError(
                "flags: they are about other rows than the training set; run `byorn scan` on this data again"
            )
    if len(flags) != len(dataset):
        raise MismatchError(
            f"flags: {len(flags)} decisions for {len(dataset)} rows; run `byorn scan` on this data again"
        )


def decisions_of(dataset: "Dataset", flagged: np.ndarray) -> str:
    """A digest of which rows are learned, and whose responses are replaced."""
    digest = blake2b(np.packbits(flagged).tobytes() + str(len(flagged)).encode(), digest_size=16)
    for name in ("id", "turn"):
        if name in dataset.column_names:
            digest.update(json.dumps(list(dataset[name])).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
