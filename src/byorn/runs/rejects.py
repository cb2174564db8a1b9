"""The lists of rejects in a run folder: those of this run, or none."""

from collections.abc import Sequence
from pathlib import Path

from byorn.data.rejects import Reject, write_rejects
from byorn.runs.atomic import atomic_path
from byorn.runs.ranks import is_main


def list_rejects(path: Path, rejects: Sequence[Reject]) -> None:
    """Write the rejects, in the first process; without any, the list that an earlier run left is removed."""
    if not is_main():
        return
    if not rejects:
        path.unlink(missing_ok=True)
        return
    with atomic_path(path) as partial:
        write_rejects(partial, rejects)
