"""A decision is on the disk, with who, when and why, before anything else happens; no kill loses one."""

import os

import pytest
from desks import scanned, words

from byorn.flagging.table import read_flags
from byorn.review import decisions as module
from byorn.review.decisions import Decisions, Verdict
from byorn.review.log import LOG, read_log


def test_a_decision_is_a_word_in_the_flags_and_a_line_in_the_log(tmp_path):
    scanned(tmp_path)
    before = read_flags(tmp_path / "flags.parquet")
    Decisions(tmp_path, "anna").decide({1: Verdict("drop", "an advertisement"), 2: Verdict("keep")})
    assert words(tmp_path) == ["auto", "drop", "keep", "auto", "auto", "auto"]
    first, second = read_log(tmp_path / LOG)
    assert (first.id, first.turn, first.was, first.review) == ("row-1", 0, "auto", "drop")
    assert (first.who, first.why, second.why) == ("anna", "an advertisement", "")
    assert first.when == second.when
    after = read_flags(tmp_path / "flags.parquet")
    assert (after.flagged == before.flagged).all()
    assert (after.rule, after.threshold, after.reasons) == (before.rule, before.threshold, before.reasons)


def test_the_log_only_grows_and_a_second_session_goes_on(tmp_path):
    scanned(tmp_path)
    Decisions(tmp_path, "anna").decide({1: Verdict("drop")})
    begun = (tmp_path / LOG).read_bytes()
    Decisions(tmp_path, "bert").decide({1: Verdict("keep"), 3: Verdict("auto")})  # the last one changes nothing
    assert (tmp_path / LOG).read_bytes().startswith(begun)
    assert [(one.who, one.was, one.review) for one in read_log(tmp_path / LOG)] == [
        ("anna", "auto", "drop"),
        ("bert", "drop", "keep"),
    ]


def test_two_sessions_at_once_do_not_undo_each_other(tmp_path):
    scanned(tmp_path)
    anna, bert = Decisions(tmp_path, "anna"), Decisions(tmp_path, "bert")
    anna.decide({1: Verdict("drop")})
    bert.decide({3: Verdict("keep")})
    assert words(tmp_path) == ["auto", "drop", "auto", "keep", "auto", "auto"]


def test_a_kill_between_log_and_flags_is_made_good_at_the_next_start(tmp_path, monkeypatch, capsys):
    scanned(tmp_path)

    def killed(path, column):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_reviews", killed)
        with pytest.raises(KeyboardInterrupt):
            Decisions(tmp_path, "anna").decide({1: Verdict("drop"), 3: Verdict("keep")})
    assert words(tmp_path) == ["auto"] * 6
    _touch_in_order(tmp_path / "flags.parquet", tmp_path / LOG)
    Decisions(tmp_path)
    assert "2 decision(s)" in capsys.readouterr().err
    assert words(tmp_path) == ["auto", "drop", "auto", "keep", "auto", "auto"]


def test_a_session_that_goes_on_enters_what_a_killed_one_beside_it_had_logged(tmp_path, monkeypatch):
    """Its own decision says that all of the log is in the flags: the other one would stay in the log alone."""
    scanned(tmp_path)
    anna, bert = Decisions(tmp_path, "anna"), Decisions(tmp_path, "bert")

    def killed(path, column):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_reviews", killed)
        with pytest.raises(KeyboardInterrupt):
            bert.decide({1: Verdict("drop")})
    anna.decide({3: Verdict("keep")})
    assert words(tmp_path) == ["auto", "drop", "auto", "keep", "auto", "auto"]
    assert [decision.who for decision in anna.log] == ["bert", "anna"]


def test_what_a_person_wrote_into_the_table_later_stands(tmp_path):
    from byorn.flagging.table import write_reviews

    scanned(tmp_path)
    Decisions(tmp_path, "anna").decide({1: Verdict("drop")})
    write_reviews(tmp_path / "flags.parquet", ["auto"] * 6)
    _touch_in_order(tmp_path / LOG, tmp_path / "flags.parquet")
    assert Decisions(tmp_path).words == ["auto"] * 6
    assert words(tmp_path) == ["auto"] * 6


def test_a_copy_without_times_brings_no_decision_back(tmp_path):
    """Times say nothing in a folder that was copied without them."""
    from byorn.flagging.table import write_reviews

    scanned(tmp_path)
    Decisions(tmp_path, "anna").decide({1: Verdict("drop")})
    write_reviews(tmp_path / "flags.parquet", ["auto"] * 6)
    _touch_in_order(tmp_path / "flags.parquet", tmp_path / LOG)
    assert Decisions(tmp_path).words == ["auto"] * 6


def test_a_torn_line_loses_nothing_behind_it(tmp_path):
    scanned(tmp_path)
    Decisions(tmp_path, "anna").decide({1: Verdict("drop")})
    with (tmp_path / LOG).open("ab") as file:
        file.write(b'{"id": "row-3", "turn": 0, "rev')
    Decisions(tmp_path, "anna").decide({3: Verdict("keep")})
    assert [one.id for one in read_log(tmp_path / LOG)] == ["row-1", "row-3"]


def test_the_line_is_on_the_disk_before_the_flags_change(tmp_path, monkeypatch):
    scanned(tmp_path)
    happened = []
    original = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (happened.append("disk"), original(handle))[1])
    monkeypatch.setattr(module, "write_reviews", lambda path, column: happened.append("flags"))
    Decisions(tmp_path).decide({1: Verdict("drop")})
    assert happened[:2] == ["disk", "flags"]


def test_an_unknown_word_is_no_verdict():
    with pytest.raises(ValueError, match="burn"):
        Verdict("burn")


def _touch_in_order(*paths):
    for second, path in enumerate(paths, start=1):
        os.utime(path, (1_000_000_000 + second, 1_000_000_000 + second))
