"""A file that appears whole or not at all, whatever kills the process that writes it."""

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
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
