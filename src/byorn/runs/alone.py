"""One run at a time in a folder: two that write the same files lose each other's work, or mix it."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from byorn.errors import ConfigError
from byorn.runs.ranks import is_main

PATIENCE = 10.0
"""Seconds that the data loader's workers of a killed run may take to notice; they hold what it held."""
POLL = 0.2  # seconds
_held: set[Path] = set()


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other processes that ask for it out of a folder that is there; what this process holds it may ask for again.

    Of several processes of one run the first asks. Where system or disk knows no locks nothing is held.

    Raises:
        ConfigError: Another run is at work there.
    """
    place = folder.resolve()
    if not is_main() or place in _held:
        yield
        return
    descriptor = _locked(place)
    _held.add(place)
    try:
        yield
    finally:
        _held.remove(place)
        if descriptor is not None:
            os.close(descriptor)


def _locked(folder: Path) -> int | None:
    """The folder, opened and locked; None where there are no locks."""
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    descriptor = os.open(folder, os.O_RDONLY)
    until = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            if time.monotonic() > until:
                os.close(descriptor)
                raise ConfigError(
                    f"--out {folder}: another run is at work there; wait for its end, or choose another folder"
                ) from None
            time.sleep(POLL)
        except OSError:  # a disk without locks
            os.close(descriptor)
            return None
