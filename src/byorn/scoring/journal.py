"""The journal of an unfinished scoring run: finished rows are on disk at once, so that a killed run goes on where it
stopped.
"""

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any

from byorn.scoring.statistics import STATISTICS
from byorn.scoring.table import require_same

RECORD = {"index", "id", "turn", *STATISTICS, "tokens", "reason"}


class Journal:
    """An append-only JSON-lines file; its first line says which data and model it belongs to.

    Args:
        path: The file, or None to keep nothing.
        metadata: Identity of the run.

    Raises:
        MismatchError: The file that is there belongs to other data or another model.
    """

    def __init__(self, path: Path | None, metadata: dict[str, str]) -> None:
        self.path = path
        self.finished: dict[int, dict[str, Any]] = {}
        if path and path.exists():
            self._resume(path, metadata)
        self._file = path.open("a", encoding="utf-8") if path else None
        if self._file and self._file.tell() == 0:
            self._write(metadata)

    def _resume(self, path: Path, metadata: dict[str, str]) -> None:
        """Read up to the first broken line and cut the file there: a kill may tear the last line, a crash more."""
        size = 0
        for line in path.read_bytes().splitlines(keepends=True):
            if (entry := _entry(line)) is None:
                break
            if size == 0:
                require_same(entry, metadata, path)
            elif entry.keys() == RECORD:
                self.finished[entry.pop("index")] = entry
            size += len(line)
        os.truncate(path, size)

    def add(self, index: int, record: dict[str, Any]) -> None:
        """Keep the record of row `index`."""
        self.finished[index] = record
        self._write({"index": index, **record})

    def _write(self, entry: dict[str, Any]) -> None:
        if self._file:
            self._file.write(json.dumps(entry) + "\n")

    def flush(self) -> None:
        if self._file:
            self._file.flush()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file:
            self._file.close()


def _entry(line: bytes) -> dict[str, Any] | None:
    """The object that a whole line holds, or None."""
    try:
        entry = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None
