"""The shape of a reader: how it knows its records, how it reads one, and how it puts other responses into one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from byorn.data.conversation import Conversation
from byorn.data.readers.columns import Record

Answer = Callable[[Record, Mapping[int, str]], dict[str, object]]
"""A record and new responses by their turn -> the record with them; all else in it is the very same objects."""


@dataclass(frozen=True)
class Reader:
    """Read records of one format.

    Attributes:
        name: What `format` calls it.
        columns: The columns that it needs, for messages.
        matches: Whether a record looks like this format; must not raise on any dict.
        read: The conversation in a record; raises `RowProblem`.
        answer: The way back: puts other responses into a record that `read` takes.
        explain: What was made of the columns of a record, where that is a choice.
    """

    name: str
    columns: str
    matches: Callable[[Record], bool]
    read: Callable[[Record], Conversation]
    answer: Answer
    explain: Callable[[Record], str] | None = None
