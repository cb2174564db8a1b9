"""What rows are filtered by on the review page: groups that stand out, and the columns of the data."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from byorn.data.columns import FILE, columns_of
from byorn.data.row import Row
from byorn.errors import ConfigError
from byorn.settings import unknown

GROUP = "group"
FIRST = ("source", "uploader")
"""Columns that come first where the data have them, however many values they have."""
MOST = 4
"""Columns that are offered."""
MOST_VALUES = 200
NONE = ""


@dataclass(frozen=True, kw_only=True)
class Filter:
    """One way to choose rows.

    Attributes:
        name: Of the column, or `group`.
        texts: The value of each row; empty where it has none.
        flagged: bool array [n].
        values: The values, those with the most flagged rows first and that of none last, at most 200, with their
            flagged rows.
    """

    name: str
    texts: list[str]
    flagged: np.ndarray = field(repr=False)
    values: list[tuple[str, int]] = field(init=False)

    def __post_init__(self) -> None:
        counts = Counter(dict.fromkeys(self.texts, 0))
        counts.update(text for text, flag in zip(self.texts, self.flagged, strict=True) if flag)
        ordered = sorted(counts.most_common(), key=lambda value: value[0] == NONE)
        object.__setattr__(self, "values", ordered[:MOST_VALUES])


def filters_of(
    rows: Sequence[Row], flagged: np.ndarray, groups: Mapping[str, Sequence[int]], first: str | None = None
) -> list[Filter]:
    """The filters of a page.

    Args:
        rows: All rows.
        flagged: bool array [n].
        groups: Numbers of the rows that stand out together, by their phrase; the first that has a row names it.
        first: A column that comes first, whatever its values are.

    Raises:
        ConfigError: No row has the column `first`.
    """
    if first is not None and not any(first in row.meta for row in rows):
        raise ConfigError(f"--group-by: {unknown('column', first, {name for row in rows for name in row.meta})}")
    found = [Filter(name=GROUP, texts=_grouped(len(rows), groups), flagged=flagged)] if groups else []
    known = [name for name in FIRST if name != first and any(name in row.meta for row in rows)]
    columns = {name: _values(rows, name) for name in ([first, *known] if first is not None else known)}
    others = {name: [text or NONE for text in texts] for name, texts in columns_of(rows) if name not in columns}
    columns |= {name: others[name] for name in sorted(others, key=lambda name: name == FILE)}
    return [*found, *(Filter(name=name, texts=columns[name], flagged=flagged) for name in list(columns)[:MOST])]


def _values(rows: Sequence[Row], name: str) -> list[str]:
    return [NONE if (value := row.meta.get(name)) is None else str(value)[:200] for row in rows]


def _grouped(count: int, groups: Mapping[str, Sequence[int]]) -> list[str]:
    texts = [NONE] * count
    for phrase, rows in reversed(list(groups.items())):
        for row in rows:
            texts[row] = phrase
    return texts
