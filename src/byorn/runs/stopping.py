"""What stops a command from outside: a signal, or a disk that takes no more. Either leaves the run as a kill does, and
the same command goes on.
"""

import errno
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
CLOSED = {errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG}
DISK = {*FULL, *CLOSED}
"""Errors of the operating system that a folder or its disk is to blame for, not byorn."""

SPOKEN = ("No space left on device", "Disk quota exceeded", "File too large", "PytorchStreamWriter failed", "iostream")
"""How libraries in C++ and Rust say so, in errors of their own types."""


class Terminated(KeyboardInterrupt):
    """SIGTERM: what a scheduler sends before it kills. Whatever cleans up after Ctrl-C does so after this too."""


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM inside raises `Terminated`; only the main thread of a process can have it so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


def disk_problem(error: BaseException) -> str | None:
    """One line about an error that the disk or its permissions are to blame for; None for any other."""
    if isinstance(error, OSError) and error.errno in DISK:
        why = f"{error.strerror}: {error.filename}" if error.filename else error.strerror or str(error)
    elif any(words in str(error) for words in SPOKEN):
        why = f"a file could not be written ({error})"
    elif error.__context__ is not None:  # torch fails once more as it closes the file
        return disk_problem(error.__context__)
    else:
        return None
    return f"{' '.join(why.split())[:300]}; make room or choose another folder, and run the same command again"
