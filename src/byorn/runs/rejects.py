"""The lists of rejects in a run folder: those of this run, or none."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from byorn.data.rejects import Reject, write_rejects
from byorn.errors import MismatchError
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


@contextmanager
def put_back_if_refused(path: Path) -> Iterator[None]:
    """The list as it was before, where a folder turns out to be that of another run, whose rejects it lists."""
    before = path.read_bytes() if path.is_file() else None
    try:
        yield
    except MismatchError:
        if is_main() and before is None:
            path.unlink(missing_ok=True)
        elif is_main() and before is not None:
            path.write_bytes(before)
        raise
