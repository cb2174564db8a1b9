"""A scan as it would be with planted rows in place of their originals; only what must be is scored anew."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from byorn.data.fingerprint import fingerprint
from byorn.data.row import Row
from byorn.flagging.rules import flag
from byorn.models.inputs import Inputs, training_rows
from byorn.pipeline.lab import Lab, Planted
from byorn.pipeline.scanned import as_run
from byorn.pipeline.scores import add_column, score_inputs, scores_of
from byorn.report.run import Run
from byorn.runs.stage import finished
from byorn.scoring.statistics import CONTRAST, EVIDENCE, STATISTICS
from byorn.scoring.table import SCORES, Scores


def rescored(lab: Lab, planted: Planted) -> Run:
    """The rows with the planted ones among them, scored and flagged by the rule of the scan."""
    places = [lab.places[row.key] for row in planted.rows]
    replaced = dict(zip(places, planted.rows, strict=True))
    rows = [replaced.get(place, row) for place, row in enumerate(lab.scanned.rows)]
    scores = _mixed(lab.scanned.scores, _scores(lab, planted), places)
    if lab.scanned.statistic in (EVIDENCE, CONTRAST):
        scores = _anew(lab, rows, scores, planted.folder)
    return replace(as_run(lab.scanned), folder=lab.out, rows=rows, scores=scores, flags=flag(scores, lab.rule))


def _scores(lab: Lab, planted: Planted) -> Scores:
    """Those of the planted rows, as a scan keeps them; the journal of a killed run is used."""
    path, inputs = planted.folder / SCORES, _inputs(lab, planted.rows)
    if not finished(path):
        score_inputs(replace(inputs, model=lab.loaded), path, lab.batch_size)
    return scores_of(inputs, path)


def _mixed(scores: Scores, planted: Scores, places: list[int]) -> Scores:
    """The scores of all rows, those of the planted ones at their places."""
    values = {name: scores.values[name].copy() for name in STATISTICS if name in scores.values}
    for name, column in values.items():
        column[places] = planted.values[name]
    tokens = scores.tokens.copy()
    tokens[places] = planted.tokens
    return replace(scores, values=values, tokens=tokens)


def _anew(lab: Lab, rows: Sequence[Row], scores: Scores, folder: Path) -> Scores:
    """The scores with what the scan flags by, of these rows, which is kept in the folder of the attack."""
    column = lab.scanned.statistic
    path, inputs = folder / f"{column}.parquet", _inputs(lab, rows)
    if finished(path):
        return scores_of(inputs, path)
    scores = replace(scores, metadata={**scores.metadata, **inputs.identity})
    return add_column(scores, replace(inputs, model=lab.loaded), path, column, lab.batch_size)


def _inputs(lab: Lab, rows: Sequence[Row]) -> Inputs:
    """Rows as a scan has them; the model is loaded by whoever needs it."""
    from byorn.data.dataset import to_dataset

    metadata = lab.scanned.scores.metadata
    identity = {name: metadata[name] for name in ("model", "model_digest", "processor_digest")}
    identity["data"] = fingerprint(rows)
    processor = lab.scanned.processor
    dataset = to_dataset(training_rows(rows, processor))
    return Inputs(rows=rows, dataset=dataset, model=None, processor=processor, identity=identity, rejects=0)
