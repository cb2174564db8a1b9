"""`flags.parquet` keeps every decision, and a person's word wins."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from byorn.data.row import Origin
from byorn.errors import DataError, MismatchError
from byorn.flagging.table import Flags, keep_reviews, read_flags, write_flags


def made_up() -> Flags:
    """Four rows, two flagged."""
    flagged = np.array([False, True, True, False])
    reasons = [None, "above the threshold", "no score", None]
    return Flags(["a", "a", "ü", "d"], [0, 1, 0, 0], flagged, flagged.astype(float), "percentile(p=0.6)", 2.5, reasons)


def edit(path: Path, column: str, values: list[object]) -> None:
    """What a person does to a flag file with any table tool."""
    table = pq.read_table(path)
    pq.write_table(table.set_column(table.column_names.index(column), column, pa.array(values)), path)


def test_a_flag_file_gives_back_exactly_what_was_written(tmp_path: Path) -> None:
    path, flags = tmp_path / "flags.parquet", made_up()
    write_flags(path, flags)
    found = read_flags(path)
    assert found.keys == flags.keys
    np.testing.assert_array_equal(found.flagged, flags.flagged)
    np.testing.assert_array_equal(found.weight, flags.weight)
    assert (found.rule, found.threshold, found.reasons) == (flags.rule, flags.threshold, flags.reasons)
    assert found.review == ["auto"] * 4
    assert [file.name for file in tmp_path.iterdir()] == ["flags.parquet"]


@pytest.mark.parametrize("number", range(4))
def test_a_kill_leaves_no_report_of_other_flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """The process is stopped before the first, second, ... change of the folder."""
    path, flags = tmp_path / "flags.parquet", made_up()
    write_flags(path, flags)
    before = path.read_bytes()
    (tmp_path / "report.html").write_text("two rows are flagged")
    changes: list[str] = []

    def counted(change: Callable[..., object]) -> Callable[..., object]:
        def changed(file: Path, *given: Any, **more: Any) -> object:
            if len(changes) >= number:
                raise KeyboardInterrupt
            changes.append(file.name)
            return change(file, *given, **more)

        return changed

    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        for name in ("replace", "unlink"):
            patch.setattr(Path, name, counted(getattr(Path, name)))
        write_flags(path, replace(flags, threshold=9.0))
    assert path.read_bytes() == before or not (tmp_path / "report.html").exists()


def test_a_report_stays_beside_the_same_flags(tmp_path: Path) -> None:
    path = tmp_path / "flags.parquet"
    write_flags(path, made_up())
    (tmp_path / "report.html").write_text("two rows are flagged")
    write_flags(path, made_up())
    assert (tmp_path / "report.html").exists()
    write_flags(path, replace(made_up(), threshold=9.0))
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize("kind", [pa.int64(), pa.float64()])  # pandas makes fractions of a column with nulls
def test_a_flag_names_the_record_of_its_row(tmp_path: Path, kind: pa.DataType) -> None:
    path, origins = (
        tmp_path / "flags.parquet",
        [Origin("a.json", 3), Origin("a.json", 0), Origin(), Origin("b.json", 1)],
    )
    write_flags(path, replace(made_up(), origins=origins))
    table = pq.read_table(path)
    position = table.column_names.index("record")
    pq.write_table(table.set_column(position, "record", table["record"].cast(kind)), path)
    assert read_flags(path).origins == origins


def test_flags_of_an_earlier_version_name_no_file(tmp_path: Path) -> None:
    path = tmp_path / "flags.parquet"
    write_flags(path, made_up())
    pq.write_table(pq.read_table(path).drop_columns(["source", "record"]).replace_schema_metadata({}), path)
    assert read_flags(path).origins == []


def test_without_a_review_the_rule_decides() -> None:
    assert made_up().replaced.tolist() == [False, True, True, False]
    assert not made_up().dropped.any()


def test_a_person_s_word_wins_over_the_rule(tmp_path: Path) -> None:
    path = tmp_path / "flags.parquet"
    write_flags(path, made_up())
    edit(path, "review", ["replace", "keep", "drop", "auto"])
    flags = read_flags(path)
    assert flags.replaced.tolist() == [True, False, False, False]
    assert flags.dropped.tolist() == [False, False, True, False]
    assert flags.flagged.tolist() == [False, True, True, False]


def test_review_words_survive_a_round_trip(tmp_path: Path) -> None:
    words = ["drop", "auto", "replace", "keep"]
    write_flags(tmp_path / "flags.parquet", replace(made_up(), review=words))
    assert read_flags(tmp_path / "flags.parquet").review == words


@pytest.mark.parametrize("word", ["Keep", "delete", "", None])
def test_an_unknown_word_is_refused_and_the_known_ones_are_listed(tmp_path: Path, word: str | None) -> None:
    path = tmp_path / "flags.parquet"
    write_flags(path, made_up())
    edit(path, "review", ["auto", "auto", word, "auto"])
    with pytest.raises(DataError, match="auto, keep, replace, drop") as refusal:
        read_flags(path)
    assert repr(str(word)) in str(refusal.value)


@pytest.mark.parametrize(("column", "values"), [("weight", ["a", "b", "c", "d"]), ("weight", [[1.0], [], [], []])])
def test_a_column_of_the_wrong_type_is_refused(tmp_path: Path, column: str, values: list[object]) -> None:
    path = tmp_path / "flags.parquet"
    write_flags(path, made_up())
    edit(path, column, values)
    with pytest.raises(DataError, match="not a readable flag file"):
        read_flags(path)


def test_a_missing_torn_or_foreign_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "flags.parquet"
    with pytest.raises(DataError, match="byorn scan"):
        read_flags(path)
    write_flags(path, made_up())
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="delete it and run the same command again"):
        read_flags(path)
    pq.write_table(pa.table({"id": ["a"]}), path)
    with pytest.raises(DataError, match="delete it and run the same command again"):
        read_flags(path)


@pytest.mark.parametrize("column", ["id", "turn", "flagged", "weight", "rule", "threshold", "reason"])
def test_a_change_anywhere_but_in_the_review_is_found_and_named(tmp_path: Path, column: str) -> None:
    path = tmp_path / "flags.parquet"
    write_flags(path, made_up())
    other = {"id": "x", "turn": 7, "flagged": True, "weight": 0.5, "rule": "mine", "threshold": 2.6, "reason": "so"}
    values = pq.read_table(path)[column].to_pylist()
    edit(path, column, [other[column], *values[1:]])
    with pytest.raises(DataError, match=f"{column} changed since it was written"):
        read_flags(path)


def test_decisions_are_kept_row_by_row_whatever_the_order_of_the_edited_table(tmp_path: Path) -> None:
    path = tmp_path / "flags.parquet"
    write_flags(path, made_up())
    frame = pq.read_table(path).to_pandas()
    frame.loc[frame["id"] == "d", "review"] = "drop"
    frame.sort_values("weight", ascending=False).head(4)[::-1].to_parquet(path)
    assert keep_reviews(made_up(), path).review == ["auto", "auto", "auto", "drop"]


def test_a_decision_about_one_of_several_rows_with_an_id_is_refused(tmp_path: Path) -> None:
    """Or a row that nobody looked at would be kept with it."""
    path = tmp_path / "flags.parquet"
    same = replace(made_up(), turns=[0, 0, 0, 0], review=["keep", "auto", "auto", "auto"])
    write_flags(path, same)
    with pytest.raises(MismatchError, match="several rows have the id 'a'"):
        keep_reviews(same, path)


def test_decisions_about_numbered_rows_do_not_move_to_others(tmp_path: Path) -> None:
    """Without ids a row is called by its number, and another row in front of it moves them all."""
    path = tmp_path / "flags.parquet"
    numbered = replace(made_up(), ids=["0", "1", "2", "3"], turns=[0] * 4, review=["auto", "keep", "auto", "auto"])
    write_flags(path, numbered)
    assert keep_reviews(numbered, path).review == numbered.review
    longer = Flags(
        [str(number) for number in range(5)], [0] * 5, np.ones(5, dtype=bool), np.ones(5), "r", 1.0, [None] * 5
    )
    with pytest.raises(MismatchError, match="its reviews are about other rows"):
        keep_reviews(longer, path)


def test_a_decision_about_a_row_that_is_gone_is_not_lost_in_silence(tmp_path: Path) -> None:
    path = tmp_path / "flags.parquet"
    write_flags(path, replace(made_up(), review=["auto", "auto", "auto", "drop"]))
    with pytest.raises(MismatchError, match="its reviews are about other rows"):
        keep_reviews(made_up().of([("a", 0), ("a", 1)]), path)
