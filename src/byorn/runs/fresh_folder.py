"""A folder that is written in full or not at all."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from byorn.errors import ConfigError


@contextmanager
def fresh_folder(out: Path, contents: Sequence[str], overwrite: bool = False) -> Iterator[Path]:
    """An empty folder beside `out` to write in; at the end its `contents` move to `out`, after an error they vanish.

    `out` may therefore hold what is being read. With `overwrite` the entries named in `contents` are replaced and
    nothing else in `out` is touched.

    Raises:
        ConfigError: `out` is in use (see `check_folder`) or cannot be written.
    """
    try:
        check_folder(out, contents, overwrite)
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
            yield Path(scratch)
            _move(Path(scratch), out, contents)
    except OSError as error:
        why = error.strerror or str(error)
        raise ConfigError(f"cannot write to {str(out)[:200]} ({why}); choose another folder or make room") from error


def check_folder(out: Path, contents: Sequence[str], overwrite: bool) -> None:
    """Refuse a folder whose content would be lost.

    Raises:
        ConfigError: `out` is a file, or it is not empty and `overwrite` is off, or `overwrite` would replace a folder
            of a data set that byorn did not write: one that lacks some of `contents`.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise ConfigError(f"{out} is a file; choose a folder")
    if any(out.iterdir()) and not overwrite:
        raise ConfigError(f"{out} is not empty; choose another folder, or pass --overwrite (overwrite=True)")
    found = [out / name for name in contents if (out / name).exists()]
    if found and len(found) < len(contents):
        raise ConfigError(f"{found[0]} was not written by byorn and would be lost; choose another folder")


def _move(source: Path, out: Path, contents: Sequence[str]) -> None:
    out.mkdir(exist_ok=True)
    for name in contents:
        if (out / name).is_dir():
            shutil.rmtree(out / name)
        (source / name).replace(out / name)
