"""A folder that is written in full or not at all."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from byorn.data.layout import UNFINISHED
from byorn.errors import ConfigError
from byorn.runs.narrate import say


@contextmanager
def fresh_folder(out: Path, contents: Sequence[str], overwrite: bool = False) -> Iterator[Path]:
    """An empty folder beside `out` to write in; at the end its `contents` move to `out`, after an error they vanish.

    `out` may therefore hold what is being read. With `overwrite` the entries named in `contents` are replaced and
    nothing else in `out` is touched. After a kill the same call starts anew; the last of the `contents`, which readers
    look for, is in `out` only while all others are.

    Raises:
        ConfigError: `out` is in use (see `check_folder`) or cannot be written.
    """
    try:
        target = out.resolve()
        _remove_half(target, contents)
        check_folder(out, contents, overwrite)
        with _scratch(target.with_name(f".{target.name}.tmp")) as folder:
            yield folder
            _move(folder, target, contents)
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


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """An empty folder that vanishes at the end; one that a killed call left is replaced."""
    _remove(folder)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _move(source: Path, out: Path, contents: Sequence[str]) -> None:
    out.mkdir(exist_ok=True)
    moving = source.replace(out / UNFINISHED)
    for name in reversed(contents):
        _remove(out / name)
    for name in contents:
        (moving / name).replace(out / name)
    moving.rmdir()


def _remove_half(out: Path, contents: Sequence[str]) -> None:
    """Remove what a call that was killed while it moved its contents has left of them, if it had not moved all."""
    moving = out / UNFINISHED
    if moving.is_dir() and not any(moving.iterdir()):
        moving.rmdir()
    elif moving.is_dir():
        say(f"{out}: a call that was killed left half of its files there; they are removed, and it starts anew")
        for name in (*reversed(contents), UNFINISHED):
            _remove(out / name)


def _remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
