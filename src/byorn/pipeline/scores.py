"""The scores of a run folder: those of the pretrained model, and what a rule wants beside them.

Every pass over the rows is a file that is finished once and used again: `scores.parquet`, for a contrast
`swapped.parquet`, for the evidence `adapted.parquet` and `adapted_swapped.parquet`. A killed pass goes on where it
stopped; the adaptation before it is made again, and comes out the same.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from byorn.data.stored import keys_of, stored
from byorn.errors import MismatchError
from byorn.models.inputs import Inputs
from byorn.runs.identity import require_same
from byorn.runs.narrate import rows_in, say, seconds
from byorn.runs.ranks import current_shard, is_main
from byorn.runs.stage import Record, finished, require_begun_with, run_stage
from byorn.scoring.adaptation import CrossFitted
from byorn.scoring.contrast import Swapped, paired, with_contrast
from byorn.scoring.evidence import with_evidence
from byorn.scoring.learning_curve import LearningCurve
from byorn.scoring.passes import Pass, fitted_pass, fitted_to, pretrained_pass
from byorn.scoring.statistics import EVIDENCE
from byorn.scoring.table import Scores, from_records, name_rows, read_scores, write_scores

ADAPTING = "adapting_seconds"
NAMES = {"adapted": "with their own images", "adapted_swapped": "with the images of others"}


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
    inputs: Inputs, path: Path, batch_size: int, scoring_pass: Pass | None = None, known: Mapping[str, str] = {}
) -> None:
    """Score this process's shard, by the pretrained model if no other pass is given; when this returns, `path` holds
    the scores of all rows, and what is `known` of them.
    """
    from importlib.metadata import version

    began = time.perf_counter()

    def write(records: list[Record]) -> None:
        spent = time.perf_counter() - began
        facts = {"byorn_version": version("byorn"), "dtype": str(inputs.model.dtype), "seconds": f"{spent:.3f}"}
        write_scores(path, name_rows(from_records(records, {**inputs.identity, **known, **facts}), inputs.rows))
        say(f"scored {rows_in(len(records), spent)}")

    scoring_pass = scoring_pass or pretrained_pass(inputs.model, inputs.processor, inputs.dataset)
    with scoring_pass.using as compute:
        run_stage(
            path, inputs.identity, scoring_pass.fields, scoring_pass.order, batch_size, compute, write, phase="scoring"
        )


def _add_contrast(scores: Scores, inputs: Inputs, path: Path, batch_size: int) -> Scores:
    """The scores with their contrast, also in `path`; those with other images lie beside it in `swapped.parquet`."""
    pairs = paired(inputs.rows)
    say(f"scoring {len(pairs)} rows with the images of others, for their contrast")
    other = path.with_name("swapped.parquet")
    if not finished(other):
        score_inputs(_swapped(inputs, pairs), other, batch_size)
    swapped = scores_of(inputs, other)
    return _kept(with_contrast(scores, swapped, pairs), path, swapped)


def _add_evidence(scores: Scores, inputs: Inputs, path: Path, batch_size: int) -> Scores:
    """The scores with their evidence, also in `path`; those of the adapted model lie beside it in `adapted.parquet`
    and `adapted_swapped.parquet`.
    """
    pairs = paired(inputs.rows)
    own, other = path.with_name("adapted.parquet"), path.with_name("adapted_swapped.parquet")
    parts = [(own, inputs, range(len(inputs.rows))), (other, _swapped(inputs, pairs), [row for row, _ in pairs])]
    left = [part for part in parts if not finished(part[0])]
    if left:
        with _adapted(inputs, scores, batch_size) as (fitted, known):
            for file, part, numbers in left:
                say(f"scoring {len(numbers)} rows by the half that they are not in, {NAMES[file.stem]}")
                scoring_pass = fitted_pass(fitted, inputs.processor, part.dataset, numbers)
                score_inputs(part, file, batch_size, scoring_pass, known)
    adapted, swapped = (scores_of(inputs, file) for file in (own, other))
    say("looking for phrases that images give away without giving a reason")
    began = time.perf_counter()
    judged = with_evidence(scores, adapted, swapped, pairs, inputs.rows, LearningCurve.of(adapted.metadata))
    searched = time.perf_counter() - began
    return _kept(judged, path, adapted, swapped, besides=float(adapted.metadata.get(ADAPTING, 0)) + searched)


@contextmanager
def _adapted(inputs: Inputs, scores: Scores, batch_size: int) -> Iterator[tuple[CrossFitted, dict[str, str]]]:
    """The model, adapted to either half of the rows that have a score, and what its score files say of that."""
    began = time.perf_counter()
    given = inputs.model, inputs.processor, inputs.dataset, inputs.rows, scores.nll
    with fitted_to(*given, batch_size=batch_size, shard=current_shard()) as fitted:
        fitted.adapt()
        spent = time.perf_counter() - began
        say(f"adapted to either half of the rows in {fitted.curve.steps} steps ({seconds(spent)})")
        yield fitted, {**fitted.curve.as_metadata(), ADAPTING: f"{spent:.3f}"}


def _swapped(inputs: Inputs, pairs: list[tuple[int, int]]) -> Inputs:
    """The rows that have a partner, with its images."""
    paired_rows = {row for row, _ in pairs}
    rows = stored(row for number, row in enumerate(inputs.rows) if number in paired_rows)
    return replace(inputs, rows=rows, dataset=Swapped(inputs.dataset, pairs))


def scores_of(inputs: Inputs, path: Path) -> Scores:
    """The scores in a file.

    Raises:
        MismatchError: They are about other rows or another model.
    """
    scores = read_scores(path)
    require_same(scores.metadata, inputs.identity, path)
    return scores


def _kept(scores: Scores, path: Path, *further: Scores, besides: float = 0.0) -> Scores:
    """The scores with the seconds of further ones, and of what was done `besides`, written to `path`."""
    spent = besides + sum(float(part.metadata.get("seconds", 0)) for part in (scores, *further))
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
    """The scores that are there, one a row in the order of the rows.

    Raises:
        MismatchError: They are about other rows or another model.
    """
    scores = scores_of(inputs, path)
    if scores.keys != keys_of(inputs.rows):
        raise MismatchError(f"{path}: it is about other rows, or in another order; delete it and scan again")
    return scores
