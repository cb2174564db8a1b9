"""The rows of a scan as its folder tells them, without the model's processor, which takes seconds to import: its scores
say which rows were used, and of its `rejects.jsonl` the reader says the same again.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from byorn.data.load import LoadedRows
from byorn.data.rejects import NothingUsable, Reject
from byorn.data.spec import DataSpec
from byorn.data.stored import keys_of
from byorn.models.inputs import REJECTS
from byorn.report.run import read_again, read_rejects
from byorn.scoring.table import Scores


def recorded_rows(folder: Path, data: DataSpec, scores: Scores) -> LoadedRows | None:
    """The rows of the scores, read again, with the rejects of the scan; None where the processor has to be asked: the
    folder does not account for every record, or one is refused that the reader takes, for what it shows the model (an
    image that cannot be decoded, too many tokens) or no longer, since it was repaired.

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
    rejects = read_rejects(folder / REJECTS)
    same = keys_of(loaded.rows) == scores.keys and loaded.fingerprint == scores.metadata.get("data")
    return replace(loaded, rejects=rejects) if same and _places(loaded.rejects) == _places(rejects) else None


def _places(rejects: Iterable[Reject]) -> set[tuple[str, int]]:
    return {(reject.source, reject.index) for reject in rejects}
