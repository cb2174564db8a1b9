"""The scores of a run folder: those of the pretrained model, and what a rule wants beside them.

Every pass over the rows is a file that is finished once and used again: `scores.parquet`, for a contrast
`blind.parquet`, for the evidence `adapted.parquet` and `adapted_blind.parquet`. A killed pass goes on where it
stopped; the adaptation before it is made again, and comes out the same.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from byorn.data.stored import keys_of
from byorn.errors import MismatchError
from byorn.models.inputs import Inputs
from byorn.runs.batches import length_order
from byorn.runs.identity import require_same
from byorn.runs.narrate import say, seconds
from byorn.runs.ranks import is_main
from byorn.runs.stage import Compute, Record, finished, require_begun_with, run_stage
from byorn.scoring.adaptation import CrossFitted, cross_fitted
from byorn.scoring.contrast import blind, with_contrast
from byorn.scoring.evidence import with_evidence
from byorn.scoring.folds import by_fold, content_folds
from byorn.scoring.kinds import kinds_of
from byorn.scoring.learning_curve import LearningCurve
from byorn.scoring.score import FIELDS, WORD_FIELDS
from byorn.scoring.scorer import fitted_scorer, scorer
from byorn.scoring.statistics import EVIDENCE
from byorn.scoring.table import Scores, from_records, name_rows, read_scores, write_scores

NAMES = {"adapted": "with their images", "adapted_blind": "without their images"}


def score_rows(inputs: Inputs, path: Path, column: str, batch_size: int) -> Scores:
    """The scores in `path`, with the column; what is missing is computed by all processes.

    Raises:
        MismatchError: What is there is about other rows or another model.
    """
    if finished(path):
        say(f"using the scores in {path}")
    else:
        score_inputs(inputs, path, batch_size)
    scores = finished_scores(path, inputs)
    if column in scores.values:
        return scores
    return add_column(scores, inputs, path, column, batch_size)


def add_column(scores: Scores, inputs: Inputs, path: Path, column: str, batch_size: int) -> Scores:
    """The scores with a column that depends on which rows there are, evidence or contrast, also in `path`."""
    return (_add_evidence if column == EVIDENCE else _add_contrast)(scores, inputs, path, batch_size)


def score_inputs(
    inputs: Inputs,
    path: Path,
    batch_size: int,
    using: AbstractContextManager[Compute] | None = None,
    known: Mapping[str, str] = {},
    order: Sequence[int] | None = None,
) -> None:
    """Score this process's shard, by the pretrained model if nothing else is given, the longest rows first unless there
    is another order; when this returns, `path` holds the scores of all rows, and what is `known` of them.
    """
    from importlib.metadata import version

    began = time.perf_counter()

    def write(records: list[Record]) -> None:
        spent = time.perf_counter() - began
        facts = {"byorn_version": version("byorn"), "dtype": str(inputs.model.dtype), "seconds": f"{spent:.3f}"}
        write_scores(path, name_rows(from_records(records, {**inputs.identity, **known, **facts}), inputs.rows))
        say(f"scored {len(records)} rows in {seconds(spent)} ({len(records) / spent:.0f} rows/s)")

    fields = WORD_FIELDS if using else FIELDS
    with using or scorer(inputs.model, inputs.processor, inputs.dataset) as compute:
        order = order or length_order(inputs.dataset)
        run_stage(path, inputs.identity, fields, order, batch_size, compute, write, phase="scoring")


def _add_contrast(scores: Scores, inputs: Inputs, path: Path, batch_size: int) -> Scores:
    """The scores with their contrast, also in `path`; those without images lie beside it in `blind.parquet`."""
    say(f"scoring {len(inputs.rows)} rows without their images, for their contrast")
    without = path.with_name("blind.parquet")
    if not finished(without):
        score_inputs(_blind(inputs), without, batch_size)
    unseeing = _beside(without, inputs)
    return _kept(with_contrast(scores, unseeing), path, unseeing)


def _add_evidence(scores: Scores, inputs: Inputs, path: Path, batch_size: int) -> Scores:
    """The scores with their evidence, also in `path`; those of the adapted model lie beside it in `adapted.parquet`
    and `adapted_blind.parquet`.
    """
    files = [path.with_name(f"{name}.parquet") for name in NAMES]
    left = [(file, part) for file, part in zip(files, (inputs, _blind(inputs)), strict=True) if not finished(file)]
    if left:
        with _adapted(inputs, scores, batch_size) as fitted:
            for file, part in left:
                using = fitted_scorer(fitted, inputs.processor, part.dataset)
                order = by_fold(length_order(part.dataset), fitted.fold)
                say(f"scoring {len(part.rows)} rows by the half that they are not in, {NAMES[file.stem]}")
                score_inputs(part, file, batch_size, using, fitted.curve.as_metadata(), order)
    adapted, unseeing = (_beside(file, inputs) for file in files)
    say("looking for phrases that images give away without giving a reason")
    judged = with_evidence(scores, adapted, unseeing, inputs.rows, LearningCurve.of(adapted.metadata))
    return _kept(judged, path, adapted, unseeing)


@contextmanager
def _adapted(inputs: Inputs, scores: Scores, batch_size: int) -> Iterator[CrossFitted]:
    """The model, adapted to either half of the rows that have a score."""
    began = time.perf_counter()
    fold, kinds, usable = content_folds(inputs.rows), kinds_of(inputs.rows), np.isfinite(scores.nll)
    given = inputs.model, inputs.processor, inputs.dataset, fold, usable
    with cross_fitted(*given, batch_size=batch_size, kinds=kinds) as fitted:
        fitted.adapt()
        spent = seconds(time.perf_counter() - began)
        say(f"adapted to either half of the rows in {fitted.curve.steps} steps ({spent})")
        yield fitted


def _blind(inputs: Inputs) -> Inputs:
    """The rows without their images."""
    return replace(inputs, dataset=blind(inputs.dataset, inputs.rows, inputs.processor))


def _beside(path: Path, inputs: Inputs) -> Scores:
    scores = read_scores(path)
    require_same(scores.metadata, inputs.identity, path)
    return scores


def _kept(scores: Scores, path: Path, *further: Scores) -> Scores:
    """The scores with the seconds of further ones, written to `path`."""
    spent = sum(float(part.metadata.get("seconds", 0)) for part in (scores, *further))
    scores = replace(scores, metadata={**scores.metadata, "seconds": f"{spent:.3f}"})
    if is_main():
        write_scores(path, scores)
    return scores


def require_room(path: Path, inputs: Inputs) -> None:
    """Refuse a folder that has scores of others, finished or begun, before its `config.yaml` becomes that of a new run.

    Raises:
        MismatchError: They are about other rows or another model.
    """
    if finished(path):
        finished_scores(path, inputs)
    else:
        require_begun_with(path, inputs.identity)


def finished_scores(path: Path, inputs: Inputs) -> Scores:
    """The scores that are there.

    Raises:
        MismatchError: They are about other rows or another model.
    """
    scores = read_scores(path)
    require_same(scores.metadata, inputs.identity, path)
    if scores.keys != keys_of(inputs.rows):
        raise MismatchError(f"{path}: it is about other rows, or in another order; delete it and scan again")
    return scores
