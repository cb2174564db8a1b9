"""A stage keeps what it has: nothing is computed twice, and never mixed with another run's."""

import pytest

from byorn.errors import DataError, MismatchError
from byorn.runs.stage_table import measured

IDENTITY = {"data": "d", "model_digest": "m", "processor_digest": "p"}
ORDER = [4, 0, 3, 1, 2]


def squares(calls, dies_at=99):
    def compute(batch):
        if len(calls) == dies_at:
            raise KeyboardInterrupt
        calls.append(list(batch))
        return [{"square": [item * item, None]} for item in batch]

    return compute


def run(path, compute, identity=IDENTITY, order=ORDER):
    return measured(path, identity, {"square"}, order, 2, compute)


def test_records_come_in_the_order_of_the_items_whatever_the_order_of_the_work(tmp_path):
    calls = []
    records, seconds = run(tmp_path / "files" / "squares.parquet", squares(calls))
    assert [record["square"] for record in records] == [[n * n, None] for n in range(5)]
    assert calls == [[4, 0], [3, 1], [2]]
    assert seconds > 0
    assert [path.name for path in (tmp_path / "files").iterdir()] == ["squares.parquet"]


def test_a_killed_stage_goes_on_with_what_is_missing(tmp_path):
    path, before, after = tmp_path / "squares.parquet", [], []
    with pytest.raises(KeyboardInterrupt):
        run(path, squares(before, dies_at=2))
    assert not path.exists()
    records, _ = run(path, squares(after))
    assert [record["square"][0] for record in records] == [0, 1, 4, 9, 16]
    assert sorted(item for batch in before + after for item in batch) == [0, 1, 2, 3, 4]
    assert after == [[2]]


def test_a_finished_stage_computes_nothing_and_costs_what_it_cost(tmp_path):
    first = run(tmp_path / "squares.parquet", squares([]))
    assert run(tmp_path / "squares.parquet", squares([], dies_at=0)) == first


def test_a_file_of_other_rows_or_of_another_model_is_refused(tmp_path):
    path = tmp_path / "squares.parquet"
    run(path, squares([]))
    with pytest.raises(MismatchError, match="the model changed"):
        run(path, squares([]), {**IDENTITY, "model_digest": "another"})
    with pytest.raises(DataError, match="5 lines for 3 items"):
        run(path, squares([]), order=[0, 1, 2])


def test_a_broken_file_says_what_to_do(tmp_path):
    (tmp_path / "squares.parquet").write_bytes(b"nonsense")
    with pytest.raises(DataError, match="delete it"):
        run(tmp_path / "squares.parquet", squares([]))


def test_a_stage_may_have_no_items(tmp_path):
    assert run(tmp_path / "squares.parquet", squares([]), order=[]) == ([], 0)
