"""By the user's own columns (source, uploader, date, file): whose rows stand out.

Each value of a column is compared with all other rows, for flagged rows and for rows of clusters; p-values are
corrected for all values of all columns (Holm). Columns with one value, or with nearly as many as rows, tell nothing and
are left out; dates count by month.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from byorn.data.columns import counted
from byorn.data.row import Row
from byorn.evaluation.comparisons import holm
from byorn.report.odds import Odds, odds

LEVEL = 0.01


@dataclass(frozen=True, kw_only=True)
class Value:
    """One value of a column.

    Attributes:
        value: As text.
        rows: How many rows have it.
        flagged: Its flagged rows against those of the others.
        standing_out: Its rows in clusters against those of the others; None without clusters.
        flagged_p, standing_out_p: Corrected p-values.
    """

    value: str
    rows: int
    flagged: Odds
    standing_out: Odds | None
    flagged_p: float
    standing_out_p: float

    @property
    def guilty(self) -> bool:
        """Whether rows of clusters come from here more often than chance has it."""
        return self.standing_out_p < LEVEL


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column, its values with those that stand out most first.

    Attributes:
        name: Of the column; `(file)` is the file that a row comes from.
        values: Of the column.
    """

    name: str
    values: list[Value]


def by_column(rows: Sequence[Row], flagged: np.ndarray, clustered: np.ndarray) -> tuple[list[Column], list[str]]:
    """The columns that can be compared, and the names of those that have too many values for it.

    Args:
        rows: All rows.
        flagged, clustered: bool arrays [n].
    """
    compared, crowded = counted(rows)
    numbered = list(_numbered(compared))
    tables = [
        (name, value, own, standing if clustered.any() else None)
        for name, values, numbers in numbered
        for value, own, standing in zip(
            values, _tables(numbers, len(values), flagged), _tables(numbers, len(values), clustered), strict=True
        )
    ]
    flagged_p = holm([table.p_value for _, _, table, _ in tables])
    standing_p = holm([1.0 if table is None else table.p_value for *_, table in tables])
    found: dict[str, list[Value]] = {name: [] for name, *_ in numbered}
    for (name, text, own, standing), p, q in zip(tables, flagged_p, standing_p, strict=True):
        value = Value(value=text, rows=own.of_inside, flagged=own, standing_out=standing, flagged_p=p, standing_out_p=q)
        found[name].append(value)
    columns = [Column(name=name, values=sorted(values, key=_order)) for name, values in found.items()]
    return sorted(columns, key=lambda column: _order(column.values[0])), crowded


def _order(value: Value) -> tuple[float, float, int, str]:
    return value.standing_out_p, value.flagged_p, -value.rows, value.value


def _tables(numbers: np.ndarray, count: int, marked: np.ndarray) -> list[Odds]:
    """For each of so many values its rows against all others: how many are marked."""
    rows = np.bincount(numbers[numbers >= 0], minlength=count).tolist()
    inside = np.bincount(numbers[(numbers >= 0) & marked], minlength=count).tolist()
    total, of_all = int(marked.sum()), len(numbers)
    return [odds(own, of, total - own, of_all - of) for own, of in zip(inside, rows, strict=True)]


def _numbered(columns: Mapping[str, list[str | None]]) -> Iterator[tuple[str, list[str], np.ndarray]]:
    """Columns as name, values, and the number of each row's value, -1 without one."""
    for name, texts in columns.items():
        numbers = {text: number for number, text in enumerate(text for text in dict.fromkeys(texts) if text)}
        if numbers:
            yield name, list(numbers), np.array([numbers.get(text or "", -1) for text in texts], dtype=int)
