"""A file that appears whole or not at all, whatever kills the process that writes it, or the machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; the file there takes the place of `path` at the end, and vanishes after an
    error.

    Its name begins with a dot, so that no pattern for finished files finds it.
    """
    partial = path.with_name(f".{path.name}.tmp")
    try:
        yield partial
        _to_disk(partial)  # else a power cut may leave the new name with nothing in it
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
