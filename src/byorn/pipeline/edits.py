"""What becomes of each record of a data set that is written again: it is kept, taken out, answered anew or marked."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from byorn.data.row import Origin, Row
from byorn.pipeline.scanned import Scanned
from byorn.rewriting.edit import Edit
from byorn.runs.stage import Record

FLAGGED = "byorn_flagged"
SCORE = "byorn_score"


def edits_of(scanned: Scanned, mode: str, new: Mapping[int, Record]) -> dict[Origin, Edit]:
    """What becomes of each record that was scored. A conversation of which one turn could not be, as it is too long,
    goes nowhere: nobody has looked at that turn.

    Args:
        scanned: Rows with their flags.
        mode: `drop`, `replace` or `mark`.
        new: Row number -> its new response.
    """
    flags = scanned.flags
    unused = flags.unused
    gone = {"drop": unused, "replace": flags.dropped, "mark": np.zeros(len(flags), bool)}[mode].copy()
    for number, record in new.items():
        gone[number] |= not record["text"].strip()
    scores = scanned.scores.values[scanned.statistic]
    edits: dict[Origin, Edit] = {}
    left_out = refused(scanned)
    for origin, numbers in _by_record(scanned.rows).items():
        if origin in left_out:
            continue
        texts = {scanned.rows[n].turn: str(new[n]["text"]) for n in numbers if n in new}
        edit = Edit(keep=not gone[numbers].any(), responses=texts)
        known = [float(score) for score in scores[numbers] if not np.isnan(score)]
        marks = {FLAGGED: bool(unused[numbers].any()), SCORE: _finite(max(known, default=None))}
        edits[origin] = replace(edit, marks=marks) if mode == "mark" else edit
    return edits


def refused(scanned: Scanned) -> set[Origin]:
    """The records that could not be read, or not be scored as a whole."""
    return {Origin(reject.source, reject.index) for reject in scanned.loaded.rejects}


def _finite(score: float | None) -> float | None:
    """A score as JSON knows it: a contrast of -inf, with nothing to compare, is none."""
    return score if score is not None and np.isfinite(score) else None


def _by_record(rows: Sequence[Row]) -> dict[Origin, list[int]]:
    found: dict[Origin, list[int]] = {}
    for number, row in enumerate(rows):
        found.setdefault(row.origin, []).append(number)
    return found


def goes(edits: Mapping[Origin, Edit], row: Row, keep: bool) -> bool:
    """Whether the record of a row is written, and stays (`keep`) or is taken out."""
    edit = edits.get(row.origin)
    return edit is not None and edit.keep is keep
