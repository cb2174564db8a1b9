"""The journal of unfinished work: finished rows are on disk at once, so that a killed run goes on where it stopped.

Each line ends in a checksum: what a crash or a bad disk left of a line is not taken for work done.

Several processes write one file each and read each other's; whoever goes on, and with however many processes, does no
finished row again.
"""

import os
from collections.abc import Iterator, Set
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from byorn.runs.identity import require_same
from byorn.runs.narrate import say
from byorn.runs.sealed import opened_line, sealed_line


class Journal:
    """An append-only JSON-lines file; its first line says which data and model it belongs to.

    Args:
        path: The file of this process, or None to keep nothing.
        metadata: Identity of the run.
        fields: What a record holds; others are not taken for finished.
        beside: Pattern of the files of all processes, in the folder of `path`; they are read, never changed.

    Attributes:
        finished: Row number -> record, of this process and, as of the last look, of the others.

    Raises:
        MismatchError: A file that is there belongs to other data or another model.
    """

    def __init__(
        self, path: Path | None, metadata: dict[str, str], fields: Set[str], beside: str | None = None
    ) -> None:
        self.path = path
        self.finished: dict[int, dict[str, Any]] = {}
        self._metadata = metadata
        self._fields = fields | {"index"}
        self._beside = beside
        self._understood: dict[Path, int] = {}
        if path and path.exists():
            self._read(path)
            _cut(path, self._understood[path])  # a kill may tear the last line, a crash more
        self.catch_up()
        self._file = path.open("a", encoding="utf-8") if path else None
        if self._file and self._file.tell() == 0:
            self._write(metadata)

    def catch_up(self) -> int:
        """Take in what other processes have written since the last look; how many rows are finished now."""
        for path in self._others():
            with suppress(FileNotFoundError):  # deleted meanwhile, since everything is safe elsewhere
                self._read(path)
        return len(self.finished)

    def written(self) -> int:
        """Bytes in the files of all processes; while it grows, somebody is at work."""
        return sum(_size(path) for path in (self.path, *self._others()) if path)

    def _others(self) -> Iterator[Path]:
        if self.path and self._beside:
            yield from (path for path in sorted(self.path.parent.glob(self._beside)) if path != self.path)

    def _read(self, path: Path) -> None:
        """Go on reading where the last look ended, up to the first line that is not whole."""
        end = self._understood.get(path, 0)
        with path.open("rb") as file:
            file.seek(end)
            for line in file:
                if (entry := _entry(line)) is None:
                    break
                if end == 0:
                    require_same(entry, self._metadata, path)
                elif entry.keys() == self._fields and isinstance(index := entry.pop("index"), int):
                    self.finished[index] = entry
                end += len(line)
        self._understood[path] = end

    def add(self, index: int, record: dict[str, Any]) -> None:
        """Keep the record of row `index`."""
        self.finished[index] = record
        self._write({"index": index, **record})

    def _write(self, entry: dict[str, Any]) -> None:
        if self._file:
            self._file.write(sealed_line(entry))

    def flush(self) -> None:
        if self._file:
            self._file.flush()

    def discard(self) -> None:
        """Delete the files of all processes: everything in them is safe elsewhere."""
        for path in (self.path, *self._others()):
            if path:
                path.unlink(missing_ok=True)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file:
            self._file.close()


def require_journal_of(path: Path, metadata: dict[str, str]) -> None:
    """Refuse a journal of other data or another model; nothing is written. One that another process has just deleted,
    or whose first line is not whole, belongs to nobody.

    Raises:
        MismatchError: Naming what differs.
    """
    with suppress(FileNotFoundError), path.open("rb") as file:
        if (entry := _entry(file.readline())) is not None:
            require_same(entry, metadata, path)


def _size(path: Path) -> int:
    """Bytes of a file that another process may delete meanwhile."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _cut(path: Path, end: int) -> None:
    """Cut off what cannot be understood; more than the torn line of a kill is said."""
    with path.open("rb") as file:
        file.seek(end)
        lost = file.read().count(b"\n")
    if lost:
        say(f"{path}: {lost} line(s) are damaged or follow a damaged one, and are computed again")
    os.truncate(path, end)


def _entry(line: bytes) -> dict[str, Any] | None:
    """The record that a whole line holds, or None."""
    return opened_line(line) if line.endswith(b"\n") else None
