"""The journal of an unfinished scoring run: finished rows are on disk at once, so that a killed run goes on where it
stopped.
"""

import json
from pathlib import Path
from types import TracebackType
from typing import Any

from byorn.scoring.table import require_same


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
        lines = path.read_bytes().split(b"\n")
        whole = b"\n".join(lines[:-1])  # a kill may have cut the last line
        path.write_bytes(whole + b"\n" if whole else b"")
        for number, line in enumerate(whole.splitlines()):
            entry = json.loads(line)
            if number == 0:
                require_same(entry, metadata, path)
            else:
                self.finished[entry.pop("index")] = entry

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
