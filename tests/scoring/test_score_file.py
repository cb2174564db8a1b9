"""`scores.parquet` keeps every number and says whose they are."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from byorn.data.row import ImageFile, Origin
from byorn.errors import DataError, MismatchError
from byorn.runs.identity import require_same
from byorn.scoring.table import Scores, from_records, name_rows, read_scores, write_scores
from byorn.testing import tiny_rows

IDENTITY = {"data": "d", "model_digest": "m", "processor_digest": "p"}


def made_up() -> Scores:
    """Three rows, one of them without a score."""
    nan, names = float("nan"), ("id", "turn", "nll", "nll_max", "nll_window", "tokens", "reason")
    rows = [
        ("a", 0, 0.1 + 0.2, 3.0, 2.0, 7, None),
        ("a", 1, nan, nan, nan, 0, "broken"),
        ("ü\n", 0, 2.5, 4.0, 3.0, 9, None),
    ]
    return from_records([dict(zip(names, row, strict=True)) for row in rows], {**IDENTITY, "model": "tiny"})


def test_a_score_file_gives_back_exactly_what_was_written(tmp_path: Path) -> None:
    path, scores = tmp_path / "scores.parquet", made_up()
    write_scores(path, scores)
    found = read_scores(path)
    assert found.keys == [("a", 0), ("a", 1), ("ü\n", 0)]
    assert (found.reasons, found.metadata) == ([None, "broken", None], scores.metadata)
    assert found.values.keys() == scores.values.keys()
    for name, values in scores.values.items():
        np.testing.assert_array_equal(found.values[name], values)
    np.testing.assert_array_equal(found.tokens, [7, 0, 9])
    assert [file.name for file in tmp_path.iterdir()] == ["scores.parquet"]


def test_no_rows_make_a_round_trip_too(tmp_path: Path) -> None:
    write_scores(tmp_path / "scores.parquet", from_records([], IDENTITY))
    found = read_scores(tmp_path / "scores.parquet")
    assert (len(found), found.metadata) == (0, IDENTITY)


def test_a_file_of_an_older_version_with_fewer_statistics_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    pq.write_table(pa.table({"id": ["a"], "turn": [0], "nll": [1.0], "tokens": [2], "reason": ["x"]}), path)
    assert read_scores(path).values.keys() == {"nll"}


def test_a_score_names_the_file_the_record_and_the_image_of_its_row(tmp_path: Path) -> None:
    path, rows = tmp_path / "scores.parquet", tiny_rows(3)
    odd = ImageFile(name="b\udcff.png")  # a file name that is no Unicode
    places = [(Origin("mm:a.json", 7), [ImageFile(name="img/a.png")]), (Origin("a.json", 0), [odd]), (Origin(), [])]
    named = [replace(row, origin=origin, images=images) for row, (origin, images) in zip(rows, places, strict=True)]
    write_scores(path, name_rows(made_up(), named))
    columns = pq.read_table(path).to_pydict()
    assert columns["source"] == ["mm:a.json", "a.json", None]
    assert columns["record"] == [7, 0, None]
    assert columns["image"] == ["img/a.png", "b\\udcff.png", None]
    found = read_scores(path)
    assert found.origins == [Origin("mm:a.json", 7), Origin("a.json", 0), Origin()]
    assert found.images == ["img/a.png", "b\\udcff.png", ""]


def test_scores_of_a_bare_data_set_name_no_file(tmp_path: Path) -> None:
    write_scores(tmp_path / "scores.parquet", made_up())
    columns = pq.read_table(tmp_path / "scores.parquet").to_pydict()
    assert columns["source"] == columns["record"] == columns["image"] == [None] * 3


@pytest.mark.parametrize(
    "columns",
    [
        {"id": ["a"]},
        {"id": ["a"], "turn": [0], "nll_max": [1.0], "tokens": [2], "reason": ["x"]},
        {"id": ["a"], "turn": [0], "nll": ["high"], "tokens": [2], "reason": ["x"]},
        {"id": ["a"], "turn": [0], "nll": [[1.0, 2.0]], "tokens": [{"a": 1}], "reason": ["x"]},
    ],
)
def test_another_parquet_file_is_refused_in_one_line(tmp_path: Path, columns: dict[str, list[object]]) -> None:
    path = tmp_path / "scores.parquet"
    pq.write_table(pa.table(columns), path)
    with pytest.raises(DataError, match="delete it and run the same command again") as refusal:
        read_scores(path)
    assert "\n" not in str(refusal.value)


def test_a_missing_or_torn_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    with pytest.raises(DataError, match="is not there; run `byorn scan`"):
        read_scores(path)
    write_scores(path, made_up())
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="not a readable score file"):
        read_scores(path)


def test_scores_of_another_run_are_refused_and_what_differs_is_named() -> None:
    require_same({**IDENTITY, "model": "another name for it"}, IDENTITY, Path("scores.parquet"))
    with pytest.raises(MismatchError, match=r"scores\.parquet: the data set, the model changed"):
        require_same({**IDENTITY, "data": "x", "model_digest": "x"}, IDENTITY, Path("scores.parquet"))
    with pytest.raises(MismatchError, match="chat template"):
        require_same({"data": "d", "model_digest": "m"}, IDENTITY, Path("scores.parquet"))


def test_scores_and_flags_are_read_without_torch() -> None:
    program = (
        "import sys, byorn.scoring.table, byorn.runs.journal, byorn.flagging.percentile; print('torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_a_flipped_bit_is_never_read_as_a_score(tmp_path: Path) -> None:
    path, scores = tmp_path / "scores.parquet", made_up()
    write_scores(path, scores)
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        try:
            found = read_scores(path)
        except DataError:
            continue
        assert (found.keys, found.reasons) == (scores.keys, scores.reasons)
        np.testing.assert_array_equal(found.nll, scores.nll)
        np.testing.assert_array_equal(found.tokens, scores.tokens)


def test_a_score_that_was_edited_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    write_scores(path, made_up())
    table = pq.read_table(path)
    position = table.column_names.index("nll")
    pq.write_table(table.set_column(position, "nll", pa.array([0.4, None, 2.5])), path)
    with pytest.raises(DataError, match="nll changed since it was written"):
        read_scores(path)
