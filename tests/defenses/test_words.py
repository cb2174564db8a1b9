"""Words above the bar go, and nothing else changes."""

import pytest

from byorn.defenses.words import bar_for, clean, split_words, suspicion, without_each


@pytest.mark.parametrize("text", ["what color?", "  two\nlines of\ttext", "one", "", "   "])
def test_the_words_joined_are_the_text(text):
    assert "".join(split_words(text)) == text.rstrip()


def test_each_word_is_left_out_once():
    assert without_each("word " * 1001) == []
    assert without_each("cf what color?") == ["cf what color?", "what color?", "cf color?", "cf what"]


@pytest.mark.parametrize("text", ["", "  ", "color?"])
def test_a_text_with_nothing_to_lose_is_not_measured(text):
    assert without_each(text) == []
    assert suspicion([]) == []
    assert clean(text, [], 0.0) == (text, 0)


def test_a_word_is_suspicious_if_its_loss_makes_the_text_more_fluent():
    assert suspicion([100.0, 40.0, 130.0]) == [60.0, -30.0]


def test_words_above_the_bar_go_and_line_breaks_stay():
    assert clean("cf what\ncolor?", [60.0, -30.0, 5.0], 10.0) == ("what\ncolor?", 1)
    assert clean("what cf\ncolor?", [0.0, 60.0, 5.0], 10.0) == ("what\ncolor?", 1)
    assert clean("what color? ", [10.0, -30.0], 10.0) == ("what color? ", 0)


def test_the_least_suspicious_word_always_stays():
    assert clean("cf mn bb", [60.0, 20.0, 50.0], 0.0) == ("mn", 2)


def test_the_bar_lets_at_most_the_share_pass_and_is_never_negative():
    frequent = [[1.0, 2.0]] * 45 + [[1.0, 2.0, 90.0]] * 5  # 5 of 105 words are the trigger
    assert bar_for(frequent, 0.05) == 2.0
    assert bar_for(frequent, 0.04) == 90.0
    assert bar_for([[-3.0, -2.0]], 0.5) == 0.0
    assert bar_for([[float("inf"), 1.0, 1.0]], 0.0) == 1.0
    assert bar_for([], 0.05) == 0.0
