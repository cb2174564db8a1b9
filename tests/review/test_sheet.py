"""Decisions through a spreadsheet, which changes ids, separators and encodings, and computes what looks like a sum."""

import csv
import re
from dataclasses import replace

import pytest
from desks import SCORES, scanned, words

from byorn.errors import ConfigError, DataError
from byorn.review.decisions import Decisions, Verdict
from byorn.review.log import LOG, read_log
from byorn.review.sheet import export_sheet, guarded, import_sheet, unguarded


def export(folder, rows=None, everything=False, name="rows.csv"):
    rows = rows or scanned(folder)
    decisions = Decisions(folder, "anna")
    count = export_sheet(folder / name, rows, SCORES, decisions.flags, decisions.words, everything)
    lines = list(csv.DictReader((folder / name).read_text(encoding="utf-8-sig").splitlines()))
    assert count == len(lines)
    return lines


def write(folder, lines, separator=",", encoding="utf-8-sig", name="back.csv"):
    with (folder / name).open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, lines[0].keys(), delimiter=separator)
        writer.writeheader()
        writer.writerows(lines)
    return folder / name


def test_what_is_to_be_decided_comes_first_by_score(tmp_path):
    assert [line["id"] for line in export(tmp_path)] == ["row-5", "row-1", "row-3"]
    Decisions(tmp_path).decide({1: Verdict("keep")})
    rows = [replace(row) for row in scanned_again(tmp_path)]
    assert [line["id"] for line in export(tmp_path, rows, name="second.csv")] == ["row-5", "row-3"]
    every = export(tmp_path, rows, everything=True, name="third.csv")
    assert [line["id"] for line in every] == ["row-5", "row-3", "row-4", "row-2", "row-0", "row-1"]
    assert [line["review"] for line in every] == ["", "", "", "", "", "keep"]


def test_a_sheet_is_not_called_a_workbook_which_no_spreadsheet_would_open(tmp_path):
    with pytest.raises(ConfigError, match=r"rows\.xlsx: a sheet is a CSV file; call it rows\.csv$"):
        export(tmp_path, name="rows.xlsx")
    assert not (tmp_path / "rows.xlsx").exists()


def test_of_two_columns_of_decisions_none_is_chosen_silently(tmp_path):
    export(tmp_path)
    path = tmp_path / "two.csv"
    path.write_text("review,id,Review \nkeep,row-5,\n")
    with pytest.raises(DataError, match=r"two\.csv: it has 2 columns called review; keep the one to be read"):
        import_sheet(path, Decisions(tmp_path))


def scanned_again(folder):
    """The rows, without writing their flags anew."""
    kept = (folder / "flags.parquet").read_bytes()
    rows = scanned(folder)
    (folder / "flags.parquet").write_bytes(kept)
    return rows


@pytest.mark.parametrize("text", ["a;=1+1", "a; @x", "a\t=1", "a\n=cmd|x", "a;'=1", "red, -5", "a|+1"])
def test_no_part_of_a_cell_is_a_formula_where_it_ends_otherwise(text):
    """A semicolon parts cells in half of Europe, a tab where text is pasted."""
    cells = re.split(r"[;\t\r\n|]", guarded(text))
    assert not [cell for cell in cells if cell.strip().startswith(("=", "+", "-", "@"))]
    assert unguarded(guarded(text)) == text


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "'=1", "''", "plain", ""])
def test_no_cell_is_a_formula_and_the_way_back_is_exact(text):
    assert not guarded(text).startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert unguarded(guarded(text)) == text


def test_formulas_of_the_data_set_stay_text(tmp_path):
    rows = scanned(tmp_path)
    rows[1] = replace(rows[1], response='=HYPERLINK("http://x","y")', id="@row")
    line = export(tmp_path, rows)[1]
    assert (line["response"], line["id"]) == ('\'=HYPERLINK("http://x","y")', "'@row")
    assert not any(
        cell.startswith(("=", "+", "-", "@")) for line in export(tmp_path, rows, name="b.csv") for cell in line.values()
    )


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_words_come_back_whatever_the_spreadsheet_did(tmp_path, separator):
    lines = export(tmp_path)
    lines[0] |= {"review": " DROP ", "why": "'=bad", "id": "1,00E+05"}  # an id that was taken for a number
    lines[1]["review"] = "keep"
    done = import_sheet(write(tmp_path, lines, separator), Decisions(tmp_path, "bert"))
    assert str(done) == "1 keep, 1 drop; 0 as before, 1 left undecided"
    assert words(tmp_path) == ["auto", "keep", "auto", "auto", "auto", "drop"]
    assert [(one.id, one.who, one.why) for one in read_log(tmp_path / LOG)] == [
        ("row-5", "bert", "=bad"),
        ("row-1", "bert", ""),
    ]
    again = import_sheet(write(tmp_path, lines, separator), Decisions(tmp_path, "bert"))
    assert str(again) == "no new decision; 2 as before, 1 left undecided"


def test_a_reason_that_is_given_later_is_kept(tmp_path):
    lines = export(tmp_path)
    lines[0] |= {"review": "keep"}
    import_sheet(write(tmp_path, lines), Decisions(tmp_path, "anna"))
    lines[0] |= {"why": "a true caption"}
    for said in ("1 keep; 0 as before, ", "no new decision; 1 as before, "):
        assert str(import_sheet(write(tmp_path, lines), Decisions(tmp_path, "anna"))).startswith(said)
    history = [(one.review, one.was, one.why) for one in read_log(tmp_path / LOG)]
    assert history == [("keep", "auto", ""), ("keep", "keep", "a true caption")]
    assert Decisions(tmp_path).words.count("keep") == 1


def test_a_reason_beside_no_word_is_not_lost_in_silence(tmp_path):
    lines = export(tmp_path)
    lines[0] |= {"why": "a true caption"}
    done = import_sheet(write(tmp_path, lines), Decisions(tmp_path))
    assert str(done).endswith("1 reason(s) beside no word were left out")


def test_a_decision_whose_cell_was_emptied_stands_and_is_not_called_undecided(tmp_path):
    lines = export(tmp_path)
    lines[0] |= {"review": "keep"}
    import_sheet(write(tmp_path, lines), Decisions(tmp_path))
    lines[0] |= {"review": ""}
    done = import_sheet(write(tmp_path, lines), Decisions(tmp_path))
    assert (done.same, done.empty) == (1, len(lines) - 1)
    assert Decisions(tmp_path).words.count("keep") == 1


def test_rows_that_a_spreadsheet_saved_empty_are_no_rows(tmp_path):
    lines = export(tmp_path)
    empty = [dict.fromkeys(lines[0], cell) for cell in ("", " ")]
    path = write(tmp_path, [{**lines[0], "review": "drop"}, *empty])
    assert str(import_sheet(path, Decisions(tmp_path, "anna"))) == "1 drop; 0 as before, 0 left undecided"


def test_a_sheet_of_ones_own_needs_id_and_review_alone(tmp_path):
    scanned(tmp_path)
    path = write(tmp_path, [{"id": "row-3", "review": "replace"}, {"id": "row-0", "review": "keep"}])
    import_sheet(path, Decisions(tmp_path))
    assert words(tmp_path) == ["keep", "auto", "auto", "replace", "auto", "auto"]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([{"id": "row-1", "review": "burn"}], "line 2: review holds 'burn'"),
        ([{"id": "row-1", "review": "keep"}, {"id": "stranger", "review": "keep"}], "line 3: row 'stranger' is none"),
        ([{"id": "row-1", "review": ""}, {"id": "stranger", "review": ""}], "is none of this run"),
        ([{"id": "row-1", "turn": "2", "review": "keep"}], "is none of this run"),
        ([{"id": "row-1", "turn": "x", "review": "keep"}], "line 2: turn holds 'x'; write the number"),
        ([{"id": "row-1", "turn": "-1", "review": "keep"}], "line 2: turn holds '-1'"),
        ([{"id": "row-1", "turn": "1.0", "review": "keep"}], "line 2: turn holds '1.0'"),
        ([{"id": "row-1", "turn": "9" * 5000, "review": "keep"}], "line 2: turn holds '999"),
        ([{"key": "r00", "id": "row-1", "review": "keep"}], "row 'row-1' is none"),
        ([{"id": "row-1", "review": "keep"}, {"id": "row-1", "review": "drop"}], "two decisions"),
        ([{"name": "row-1", "review": "keep"}], "no columns review and key"),
        ([{"id": "row-1", "word": "keep"}], "no columns review and key"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_of_it_is_taken(tmp_path, lines, said):
    scanned(tmp_path)
    with pytest.raises(DataError, match=said):
        import_sheet(write(tmp_path, lines), Decisions(tmp_path))
    assert words(tmp_path) == ["auto"] * 6
    assert not read_log(tmp_path / LOG)


@pytest.mark.parametrize("content", [b"\xff\xfeid", b"", b'id;review\n"x', None, b"id,review\n\x00,keep\n"])
def test_a_broken_sheet_is_refused_in_one_line(tmp_path, content):
    scanned(tmp_path)
    path = tmp_path / "back.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError):
        import_sheet(path, Decisions(tmp_path))


def test_a_sheet_with_decisions_is_not_written_over(tmp_path):
    export(tmp_path)
    with pytest.raises(ConfigError, match="there already"):
        export(tmp_path)


def test_a_long_response_is_cut_in_the_sheet(tmp_path):
    rows = scanned(tmp_path)
    rows[1] = replace(rows[1], response="a" * 100_000)
    line = export(tmp_path, rows)[1]
    assert len(line["response"]) < 2100
    assert line["response"].endswith("[98000 more characters]")
    import_sheet(tmp_path / "rows.csv", Decisions(tmp_path))


def test_who_decides_sees_the_columns_of_the_data_set_and_they_come_back_unread(tmp_path):
    rows = scanned(tmp_path)
    own = {"source": "forum", "review": "drop", "date": "2026-01-02", "tags": ["a", "ß"], "empty": None}
    rows[1] = replace(
        rows[1], meta={**own, "uploader": "=cmd|x", "note": "n" * 500, "a;b;c;d;e;f;g\n;h;i;j;k;l;m;n": 1}
    )
    lines = export(tmp_path, rows)

    flagged = next(line for line in lines if line["id"] == "row-1")
    assert (flagged["source"], flagged["data.source"], flagged["data.date"]) == ("rows.jsonl", "forum", "2026-01-02")
    assert (flagged["review"], flagged["data.review"], flagged["data.tags"]) == ("", "drop", '["a", "ß"]')
    assert (flagged["data.uploader"], len(flagged["data.note"])) == ("'=cmd|x", 200)
    assert "data.empty" not in flagged
    decisions = Decisions(tmp_path, "anna")
    assert str(import_sheet(write(tmp_path, lines), decisions)) == "no new decision; 0 as before, 3 left undecided"


def test_a_sheet_has_no_more_columns_of_the_data_set_than_people_can_look_at(tmp_path):
    rows = scanned(tmp_path)
    many = {f"column {number}": number for number in range(500)}
    rows = [replace(row, meta={**row.meta, **many}) for row in rows]
    own = [name for name in export(tmp_path, rows)[0] if name.startswith("data.")]
    assert len(own) == 20
    assert own[0] == "data.source"
