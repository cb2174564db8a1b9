"""A closer look: tokens keep their shades through phrases and hidden characters, and a strange file is no file."""

from dataclasses import replace

import pytest
from made_runs import attacked

from byorn.report.closer import Closer, Token, read_closer, write_closer
from byorn.report.evidence import gather
from byorn.report.html import as_html
from byorn.report.page import shown_rows
from byorn.report.visible import shaded

SAID = Closer(
    head=[Token("A", 0.1), Token(" cup.", 0.2), Token(" Visit our shop", 12.0)], tail=[], left_out=0, answer="Tea."
)


def test_tokens_keep_their_shades():
    tokens = [Token("a\u200b", 3.0), Token(" vi", 0.5), Token("sit our", 8.0), Token(" cup", 2.0)]
    found = [(piece.text, piece.kind, piece.shade) for piece in shaded(tokens, "visit our")]
    assert found == [
        ("a", "plain", 2), ("U+200B", "hidden", 2), (" ", "plain", 0), ("vi", "phrase", 0), ("sit our", "phrase", 4),
        (" cup", "plain", 1),
    ]  # fmt: skip


def test_the_page_shades_the_rows_and_quotes_the_model():
    run = attacked()
    page = as_html(gather(replace(run, closer={row.key: SAID for row in run.rows[:12]})))
    assert '<span class="phrase shade5" title="12.0 nats">Visit our shop</span>' in page
    assert "the pretrained model says</small> <bdi>Tea.</bdi>" in page
    assert "the pretrained model says" not in as_html(gather(run))


def test_a_look_is_read_again_and_that_of_another_scan_is_not(tmp_path):
    path = tmp_path / "closer.jsonl"
    write_closer(path, {("row", 1): SAID}, {"data": "abc"})
    assert read_closer(path, {"data": "abc"}) == {("row", 1): SAID}
    assert read_closer(path, {"data": "other"}) == {}


@pytest.mark.parametrize("content", ["", "[" * 100_000, '{"version": 1, "data": "abc"}\n{"id": "x"}\n', "\x00\xff"])
def test_a_damaged_look_is_none(tmp_path, content):
    path = tmp_path / "closer.jsonl"
    path.write_text(content, encoding="utf-8")
    assert read_closer(path, {"data": "abc"}) == {}


def test_the_group_is_looked_at_first():
    assert set(shown_rows(gather(attacked()), 8)) <= set(range(12))
    assert len(shown_rows(gather(attacked()), 8)) == 8
    assert shown_rows(gather(attacked()), 0) == []
