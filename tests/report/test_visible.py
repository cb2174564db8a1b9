"""What an attacker hides in text is shown."""

import pytest

from byorn.report.visible import pieces, plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("visit\u200bour", "visit⟨U+200B⟩our"),
        ("\u202eabc\u202c", "⟨U+202E⟩abc⟨U+202C⟩"),
        ("a\x00b\x1b[31m", "a⟨U+0000⟩b⟨U+001B⟩[31m"),
        ("no\u00a0break", "no⟨U+00A0⟩break"),
        ("tag\U000e0041", "tag⟨U+E0041⟩"),
        ("\ud800", "⟨U+D800⟩"),
        ("two\nlines", "two lines"),
    ],
)
def test_what_cannot_be_seen_is_named(text, shown):
    assert plain(text) == shown


def test_a_letter_of_another_script_inside_a_word_is_marked():
    found = [piece for piece in pieces("p\u0430ypal") if piece.kind == "lookalike"]
    assert [(piece.text, piece.title) for piece in found] == [("а", "U+0430 CYRILLIC SMALL LETTER A")]


def test_words_of_other_languages_are_not_marked():
    assert {piece.kind for piece in pieces("Привет, naïve κόσμε, 世界 한국 café")} == {"plain"}


def test_piled_up_marks_are_cut_down():
    assert [piece.kind for piece in pieces("a" + "\u0301" * 5)].count("hidden") == 3


def test_a_long_text_keeps_its_ends():
    found = pieces("start" + "x" * 1_000_000 + "end", most=100)
    assert found[0].text.startswith("start")
    assert found[-1].text.endswith("end")
    assert sum(len(piece.text) for piece in found) < 200


def test_the_phrase_is_marked_as_a_word():
    found = [
        piece.text
        for piece in pieces("Our shop: visit OUR  shop, ourshops", phrase="our shop")
        if piece.kind == "phrase"
    ]
    assert found == ["Our shop", "OUR  shop"]
