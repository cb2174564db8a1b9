"""Rows that could not be used, as a list that a user can work through."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from byorn.data.problem import RowProblem


@dataclass(frozen=True, slots=True)
class Reject:
    """One record that was skipped.

    Attributes:
        index: Its place in the source, from 0; in a JSONL file the line number minus one.
        id: The user's id, where the record has one.
        field: The column or message at fault.
        reason: What is wrong with it.
        fix: What the user can do.
    """

    index: int
    id: str | None
    field: str
    reason: str
    fix: str

    @classmethod
    def of(cls, index: int, name: str | None, problem: RowProblem) -> "Reject":
        """The reject for a problem of record `index`."""
        return cls(index, name, problem.field, problem.reason, problem.fix)

    def __str__(self) -> str:
        name = f" (id {self.id!r})" if self.id is not None else ""
        return f"record {self.index}{name}, {self.field}: {self.reason}; {self.fix}"


def write_rejects(path: Path, rejects: Iterable[Reject]) -> None:
    """Writes one JSON object a line, in the order given."""
    with Path(path).open("w", encoding="utf-8") as file:
        for reject in rejects:
            file.write(json.dumps(asdict(reject)) + "\n")
