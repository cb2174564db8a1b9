"""Rows that could not be used, as a list that a user can work through."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from byorn.data.problem import RowProblem
from byorn.data.row import Origin
from byorn.errors import DataError, one_line
from byorn.text import shown


@dataclass(frozen=True, slots=True)
class Reject:
    """One record that was skipped.

    Attributes:
        source: The file or data set that it stands in, as in `Origin`.
        index: Its number there, from 0; in a JSONL file the line number minus one.
        id: The user's id, where the record has one.
        field: The column or message at fault.
        reason: What is wrong with it.
        fix: What the user can do.
    """

    source: str
    index: int
    id: str | None
    field: str
    reason: str
    fix: str

    @classmethod
    def of(cls, origin: Origin, name: str | None, problem: RowProblem) -> "Reject":
        """The reject for a problem of the record at `origin`."""
        return cls(origin.source, origin.record, name, problem.field, problem.reason, problem.fix)

    def __str__(self) -> str:
        name = f" (id {shown(self.id)})" if self.id is not None else ""
        file = f" of {self.source}" if self.source else ""
        return one_line(f"record {self.index}{file}{name}, {self.field}: {self.reason}; {self.fix}", 600)


class NothingUsable(DataError):
    """Every record of a data set was rejected.

    Attributes:
        rejects: All of them; the message shows one.
    """

    def __init__(self, message: str, rejects: Iterable[Reject]) -> None:
        super().__init__(message)
        self.rejects = list(rejects)


def write_rejects(path: Path, rejects: Iterable[Reject]) -> None:
    """Write one JSON object a line, in the order given."""
    with Path(path).open("w", encoding="utf-8") as file:
        for reject in rejects:
            file.write(json.dumps(asdict(reject)) + "\n")
