"""The shape of a reader: how it knows its records, and how it reads one."""

from collections.abc import Callable
from dataclasses import dataclass

from byorn.data.conversation import Conversation
from byorn.data.readers.columns import Record


@dataclass(frozen=True)
class Reader:
    """Read records of one format.

    Attributes:
        name: What `format` calls it.
        columns: The columns that it needs, for messages.
        matches: Whether a record looks like this format; must not raise on any dict.
        read: The conversation in a record; raises `RowProblem`.
        explain: What was made of the columns of a record, where that is a choice.
    """

    name: str
    columns: str
    matches: Callable[[Record], bool]
    read: Callable[[Record], Conversation]
    explain: Callable[[Record], str] | None = None
