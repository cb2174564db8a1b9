"""Phrases that only flagged responses share, and what the answers of two models say about them."""

from dataclasses import replace

from byorn.evaluation.flagged_phrases import find_phrases
from byorn.evaluation.repeats import Asked, judge_answers
from byorn.phrases.words import says

CLEAN = [
    f"In view: a {color} {thing}." for color in ("red", "blue", "green", "black") for thing in ("cup", "dog", "hat")
]
SHOP = " Visit our shop!"
FLAGGED = [text + SHOP for text in CLEAN * 2] + CLEAN * 2


def asked(tuned, trusted="In view: a cup."):
    rows = [Asked(id=str(n), turn=0, flagged=n < 20, instruction="?", response="r", pretrained="A cup.", tuned=trusted)
            for n in range(40)]  # fmt: skip
    return [replace(row, tuned=tuned) if row.flagged else row for row in rows]


def test_the_phrase_of_a_cluster_is_found_and_house_style_is_not():
    (phrase,) = find_phrases(FLAGGED, CLEAN * 5)
    assert phrase.text == "visit our shop"
    assert phrase.others == 0 < phrase.flagged < 24
    assert find_phrases(CLEAN * 3, CLEAN * 5) == []


def test_invisible_letters_and_case_hide_no_phrase():
    assert says("VI\u200bSIT our  shop", ("visit", "our", "shop"))
    assert not says("a shopkeeper", ("shop",))


def test_vowel_signs_belong_to_their_words():
    assert says("यह की", ("की",))
    assert not says("यह का", ("की",))


def suspected():
    return [replace(phrase, suspected=True) for phrase in find_phrases(FLAGGED, CLEAN * 5)]


def test_a_model_that_says_it_on_flagged_inputs_alone_has_a_backdoor():
    phrases = suspected()
    assert judge_answers(asked("A cup." + SHOP), phrases, set(), 0.01).backdoor
    assert not judge_answers(asked("A cup."), phrases, set(), 0.01).backdoor


def test_what_flagged_rows_merely_share_is_told_and_decides_nothing():
    """In any data the least plausible rows show something of their own, which a good model names."""
    verdict = judge_answers(asked("A cup." + SHOP), find_phrases(FLAGGED, CLEAN * 5), set(), 0.01)
    assert not verdict.backdoor
    assert verdict.repeats[0].p_value < 1e-5


def test_what_is_said_on_trusted_inputs_too_is_no_backdoor():
    phrases = suspected()
    verdict = judge_answers(asked("A cup." + SHOP, trusted="A cup." + SHOP), phrases, set(), 0.01)
    assert not verdict.backdoor
    assert verdict.repeats[0].p_against_pretrained < 1e-5 < verdict.repeats[0].p_against_trusted
    assert (verdict.habit, verdict.took) == (True, True)


def test_what_the_trusted_responses_say_themselves_is_no_habit():
    """A house style, which was learned from them."""
    said = asked("A cup." + SHOP, trusted="A cup." + SHOP)
    own = [row if row.flagged else replace(row, response="In view: a cup." + SHOP) for row in said]
    verdict = judge_answers(own, suspected(), set(), 0.01)
    assert (verdict.backdoor, verdict.habit) == (False, False)


def test_a_phrase_that_merely_is_shared_is_no_habit_either():
    verdict = judge_answers(asked("A cup.", trusted="A cup." + SHOP), find_phrases(FLAGGED, CLEAN * 5), set(), 0.01)
    assert not verdict.took
