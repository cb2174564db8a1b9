"""By the user's own columns: a guilty source is named, an innocent one is not."""

from dataclasses import replace

import numpy as np
import pytest
from made_runs import attacked, clean_rows

from byorn.evaluation.comparisons import holm
from byorn.report.columns import by_column
from byorn.report.evidence import gather
from byorn.report.odds import odds
from byorn.report.verdict import judge


def test_the_uploader_of_planted_rows_is_named():
    run = attacked(meta={"uploader": "mallory"})
    ((column, value),) = gather(run).guilty
    assert (column.name, value.value) == ("uploader", "mallory")
    assert value.standing_out.inside == value.standing_out.of_inside == 12
    assert value.standing_out.low > 10


def test_nobody_is_named_where_planted_rows_come_from_everywhere():
    assert gather(attacked()).guilty == []


def test_dates_count_by_month_and_ids_are_no_column():
    rows = [
        replace(row, meta={"date": f"2025-{1 + at % 2:02d}-{1 + at % 28:02d}", "hash": f"x{at}", "tags": ["a"]})
        for at, row in enumerate(clean_rows(60))
    ]
    nobody = np.zeros(60, dtype=bool)
    columns, crowded = by_column(rows, nobody, nobody)
    assert ([column.name for column in columns], crowded) == (["date"], ["hash"])
    assert sorted(value.value for value in columns[0].values) == ["2025-01", "2025-02"]


def test_a_column_of_too_many_values_is_no_silent_blind_spot():
    """201 uploaders, or made-up ones beside the guilty one, and nobody is named, by no gate either."""
    run = attacked()
    rows = [replace(row, meta={"uploader": f"user {at % 70}“"}) for at, row in enumerate(run.rows)]
    evidence = gather(replace(run, rows=rows))
    assert evidence.columns == []
    assert "“uploader” would tell: columns with more than 66 values" in "".join(judge(evidence).blind_spots)
    assert "not compared" not in "".join(judge(gather(run)).blind_spots)


def test_a_column_with_nothing_in_it_is_no_column():
    rows = [replace(row, meta={"notes": "" if at % 2 else None}) for at, row in enumerate(clean_rows(60))]
    nobody = np.zeros(60, dtype=bool)
    assert by_column(rows, nobody, nobody) == ([], [])


def test_odds_ratio_and_its_interval():
    """Counts and one half: 10.5 * 90.5 / (10.5 * 10.5) = 8.62; ln OR +- 1.96 sqrt(3 / 10.5 + 1 / 90.5)."""
    table = odds(10, 20, 10, 100)
    half = 1.959964 * np.sqrt(3 / 10.5 + 1 / 90.5)
    assert table.ratio == pytest.approx(90.5 / 10.5)
    assert (table.low, table.high) == pytest.approx((table.ratio / np.exp(half), table.ratio * np.exp(half)))


def test_holm():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []
