"""`reviews.jsonl`: every decision that was ever made, one a line with its checksum. Lines are added, never changed."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from byorn.runs.sealed import opened_line, sealed_line

LOG = "reviews.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What somebody decided about a row.

    Attributes:
        id, turn: Key of the row.
        review: The word of `REVIEWS` that it has now; `auto` takes a decision back.
        was: The word that it had.
        who: As they call themselves.
        when: UTC, ISO 8601; the same for all decisions that were made together.
        why: In their words; may be empty.
    """

    id: str
    turn: int
    review: str
    was: str
    who: str
    when: str
    why: str = ""

    @property
    def key(self) -> tuple[str, int]:
        return self.id, self.turn


def append(path: Path, decisions: Sequence[Decision]) -> None:
    """Add decisions; when this returns they are on the disk. A torn last line, of a kill, is closed first."""
    lines = "".join(sealed_line(asdict(decision)) for decision in decisions).encode()
    with path.open("ab+") as file:
        end = file.seek(0, os.SEEK_END)
        if end:
            file.seek(end - 1)
            lines = (b"" if file.read(1) == b"\n" else b"\n") + lines
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())


def read_log(path: Path) -> list[Decision]:
    """The decisions in order; lines that are damaged or torn are left out."""
    if not path.exists():
        return []
    with path.open("rb") as file:
        records = [opened_line(line) for line in file]
    return [decision for record in records if (decision := _decision(record))]


def _decision(record: dict[str, object] | None) -> Decision | None:
    try:
        return Decision(**record) if record is not None else None  # type: ignore[arg-type]
    except TypeError:
        return None
