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
from byorn.data.row import Row
from byorn.data.spec import DataSpec
from byorn.data.stored import keys_of, stored
from byorn.models.inputs import REJECTS
from byorn.pipeline.reuse import SCORES
from byorn.report.run import read_again, read_rejects
from byorn.scoring.table import Scores


def recorded_rows(folder: Path, data: DataSpec, scores: Scores) -> LoadedRows | None:
    """The rows of the scores, read again, with the rejects of the scan; None where the folder does not account for
    every record, or one that could not be used may have been repaired since, so that the model's processor has to be
    asked again.

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
    unused = [loaded.rows[number] for number, use in enumerate(used) if not use]
    unusable = {(row.origin.source, row.origin.record) for row in unused} | _places(loaded.rejects)
    if unusable != _places(found.rejects) or (unusable and _repaired(folder, loaded, unused)):
        return None
    return found


def _repaired(folder: Path, loaded: LoadedRows, unused: Iterable[Row]) -> bool:
    """Whether a file of the data, or an image of an unused row, changed after the scan had listed its rejects; of the
    Hub nobody knows.
    """
    if any(part.source.hub for part in loaded.parts):
        return True
    files = [file.path for part in loaded.parts for file in part.source.files]
    inside = [path for file in files if file.is_dir() for path in file.rglob("*")]
    images = [Path(image.path) for row in unused for image in row.images if image.path]
    listed = min((folder / name).stat().st_mtime_ns for name in (REJECTS, SCORES))
    return any(_last_change(path) >= listed for path in (*files, *inside, *images))


def _last_change(path: Path) -> int:
    """When a file was written or put in its place, in nanoseconds; 0 where there is none."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return 0
    return max(found.st_mtime_ns, found.st_ctime_ns)


def _only(loaded: LoadedRows, used: Sequence[bool]) -> LoadedRows:
    if all(used):
        return loaded
    rows = stored(compress(loaded.rows, used))
    return replace(loaded, rows=rows, fingerprint=fingerprint(rows))


def _places(rejects: Iterable[Reject]) -> set[tuple[str, int]]:
    return {(reject.source, reject.index) for reject in rejects}
