"""The part of the page about the user's own columns: where rows that stand out come from."""

from dataclasses import dataclass

from byorn.report.columns import Column
from byorn.report.plots import Whisker, whisker
from byorn.report.visible import Piece, pieces
from byorn.report.words import number, odds_in_words, p_in_table

VALUES = 12
"""Of a column that are shown, at most."""


@dataclass(frozen=True, kw_only=True)
class ValueShown:
    """A line of a column's table."""

    value: list[Piece]
    rows: str
    marked: str
    share: float
    odds: str
    p_value: str
    whisker: Whisker
    guilty: bool


@dataclass(frozen=True, kw_only=True)
class ColumnShown:
    """A column's table."""

    name: list[Piece]
    values: list[ValueShown]
    left_out: int


def show_column(column: Column) -> ColumnShown:
    """What the page shows of a column."""
    values = []
    for value in column.values[:VALUES]:
        odds = value.standing_out or value.flagged
        values.append(
            ValueShown(
                value=pieces(value.value, 80),
                rows=number(value.rows),
                marked=number(odds.inside),
                share=round(100 * odds.inside / max(1, value.rows), 2),
                odds=odds_in_words(odds),
                p_value=p_in_table(value.flagged_p if value.standing_out is None else value.standing_out_p),
                whisker=whisker(odds),
                guilty=value.guilty,
            )
        )
    return ColumnShown(name=pieces(column.name, 60), values=values, left_out=max(0, len(column.values) - VALUES))
