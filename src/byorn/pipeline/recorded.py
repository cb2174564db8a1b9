"""The rows of a scan as its folder tells them, without the model's processor, which takes seconds to import: its scores
say which rows were used, its `rejects.jsonl` which records could not be.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import compress
from pathlib import Path

from byorn.data.fingerprint import fingerprint
from byorn.data.load import LoadedRows
from byorn.data.rejects import NothingUsable, Reject
from byorn.data.spec import DataSpec
from byorn.data.stored import keys_of, stored
from byorn.models.inputs import REJECTS
from byorn.report.run import read_again, read_rejects
from byorn.scoring.table import Scores


def recorded_rows(folder: Path, data: DataSpec, scores: Scores) -> LoadedRows | None:
    """The rows of the scores, read again, with the rejects of the scan; None where the folder does not account for
    every record, so that the model's processor has to be asked again.

    Images are not decoded: what cannot be is a reject already.

    Args:
        folder: Of the scan.
        data: How it read its data.
        scores: What it wrote.

    Raises:
        DataError: The data cannot be read.
    """
    try:
        loaded = read_again(folder, data)
    except NothingUsable:
        return None
    scored = set(scores.keys)
    used = [key in scored for key in keys_of(loaded.rows)]
    found = replace(_only(loaded, used), rejects=read_rejects(folder / REJECTS))
    if keys_of(found.rows) != scores.keys or found.fingerprint != scores.metadata.get("data"):
        return None
    unused = {loaded.rows[number].origin for number, use in enumerate(used) if not use}
    unusable = {(origin.source, origin.record) for origin in unused} | _places(loaded.rejects)
    return found if unusable == _places(found.rejects) else None


def _only(loaded: LoadedRows, used: Sequence[bool]) -> LoadedRows:
    if all(used):
        return loaded
    rows = stored(compress(loaded.rows, used))
    return replace(loaded, rows=rows, fingerprint=fingerprint(rows))


def _places(rejects: Iterable[Reject]) -> set[tuple[str, int]]:
    return {(reject.source, reject.index) for reject in rejects}
