"""The user's own columns (source, uploader, date) as groups of rows: those with a handful of values."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from byorn.data.row import Row

FILE = "(file)"
"""The name of the file that a row comes from, where it is looked at as a column."""
MOST_VALUES = 200
MOST_COLUMNS = 30
_DATE = re.compile(r"(\d{4}-\d{2})-\d{2}([T ].*)?$")
_LONGEST = 200


def columns_of(rows: Sequence[Row]) -> Iterator[tuple[str, list[str | None]]]:
    """The columns with more than one value, and far fewer than there are rows: name, and the value of each row."""
    yield from counted(rows)[0].items()


def counted(rows: Sequence[Row]) -> tuple[dict[str, list[str | None]], list[str]]:
    """The same, and the names of the columns that have too many values."""
    names = Counter(key for row in rows for key in row.meta)
    most = most_values(len(rows))
    columns = {name: _Values() for name in [FILE, *(name for name, _ in names.most_common(MOST_COLUMNS))]}
    for row in rows:
        for name, values in columns.items():
            if len(values.distinct) <= most:
                values.add(value_of(row, name))
    compared = {name: values.texts for name, values in columns.items() if 1 < len(values.distinct) <= most}
    return compared, [name for name, values in columns.items() if len(values.distinct) > most]


def most_values(rows: int) -> int:
    """How many values a column of so many rows has at most to be compared."""
    return min(MOST_VALUES, max(2, rows // 3))


class _Values:
    """The values of a column so far, each distinct one held once."""

    def __init__(self) -> None:
        self.distinct: dict[str | None, str | None] = {}
        self.texts: list[str | None] = []

    def add(self, value: str | None) -> None:
        self.texts.append(self.distinct.setdefault(value, value))


def value_of(row: Row, name: str) -> str | None:
    """A row's value of a column, as text."""
    return row.origin.source if name == FILE else as_value(row.meta.get(name))


def as_value(value: object) -> str | None:
    """A cell of a column as text, a date by its month; None where it is a list, an object or missing."""
    if not isinstance(value, str | int | float):
        return None
    text = str(value)[:_LONGEST]
    match = _DATE.match(text)
    return match[1] if match else text
