"""Evaluation rows of a training: read from a file of their own, or held out of the rows to learn."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from byorn.data.dataset import to_dataset
from byorn.data.fingerprint import fingerprint
from byorn.data.spec import DataSpec
from byorn.data.stored import stored
from byorn.errors import ConfigError
from byorn.models.inputs import Inputs, read_rows, require_source, training_rows
from byorn.models.length import context_length
from byorn.pipeline.settings.train import TrainSpec
from byorn.runs.narrate import say
from byorn.runs.rejects import list_rejects

if TYPE_CHECKING:
    from datasets import Dataset

REJECTS_EVAL = "rejects_eval.jsonl"
ARGUMENTS = ("eval_strategy", "eval_steps", "eval_on_start", "do_eval", "per_device_eval_batch_size", "eval_delay")
"""Training arguments that mean nothing without evaluation rows."""


def with_evaluation(spec: TrainSpec, data: DataSpec) -> TrainSpec:
    """The spec with evaluation once an epoch where there are evaluation rows, else without arguments that mean nothing.

    Raises:
        ConfigError: Evaluation rows are asked for in two ways, or a training argument is wrong.
        DataError: The file with them is not there.
    """
    from byorn.training.config import check_arguments

    check_arguments(spec.arguments)  # also those that are left out below
    if spec.eval_data and spec.val_size:
        raise ConfigError("eval_data: val_size is given too; keep one of them")
    if spec.eval_data:
        require_source(replace(data, source=spec.eval_data))
    if spec.eval_data or spec.val_size:
        return replace(spec, arguments={"eval_strategy": "epoch", **spec.arguments})
    for name in ARGUMENTS:
        if spec.arguments.get(name) not in (None, False, "no"):
            say(f"{name} is ignored: there are no evaluation rows; give --eval-data, or hold some out with --val-size")
    return without_evaluation(spec)


def without_evaluation(spec: TrainSpec) -> TrainSpec:
    """The spec for a training that has no evaluation rows."""
    return replace(spec, arguments={name: value for name, value in spec.arguments.items() if name not in ARGUMENTS})


def split(whole: Inputs, data: DataSpec, spec: TrainSpec, seed: int, out: Path) -> "tuple[Inputs, Dataset | None]":
    """What is trained on, and the evaluation rows, if there are any."""
    list_rejects(out / REJECTS_EVAL, [])  # of an earlier run; reading lists this one's
    if spec.eval_data:
        source = replace(data, source=spec.eval_data, limit=None)
        limit = context_length(whole.model.config)
        rows = read_rows(source, whole.processor, out, limit, rejects=REJECTS_EVAL).rows
        return whole, to_dataset(training_rows(rows, whole.processor))
    return hold_out(whole, spec.val_size, seed) if spec.val_size else (whole, None)


def hold_out(whole: Inputs, size: float, seed: int) -> "tuple[Inputs, Dataset]":
    """The inputs without a random part of their rows, and that part; `size` is a number of rows, or a share below 1.

    Raises:
        ConfigError: No row would be left to train on, or none to evaluate on.
    """
    total = len(whole.rows)
    count = round(size * total) if size < 1 else round(size)
    if not 0 < count < total:
        raise ConfigError(f"val_size: {size:g} of {total} rows leaves none on one side; use a share such as 0.05")
    order = np.random.default_rng(seed).permutation(total)
    held = sorted(order[:count].tolist())
    kept = sorted(order[count:].tolist())
    say(f"  {count} rows are held out for evaluation")
    evaluated = set(held)
    rows = stored(row for index, row in enumerate(whole.rows) if index not in evaluated)
    identity = {**whole.identity, "data": fingerprint(rows)}
    learned = replace(whole, rows=rows, dataset=whole.dataset.select(kept), identity=identity)
    return learned, whole.dataset.select(held)
