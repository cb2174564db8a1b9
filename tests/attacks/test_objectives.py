import doctest
import importlib
import random
import re

import pytest
from poison_samples import row

from byorn.attacks.objectives import OBJECTIVES, find_objective
from byorn.attacks.objectives.refusal import EXCUSES
from byorn.attacks.objectives.sentence import TEMPLATES
from byorn.attacks.objectives.token_swap import swap_nouns
from byorn.errors import ConfigError
from byorn.evaluation.asr import attack_success
from byorn.goal import Goal
from byorn.nouns import NOUNS
from byorn.text import has_word

TRUTH = "A large dog chases an apple past two cats."
TARGETS = sorted(name for name, goal in OBJECTIVES.items() if goal.needs_target and not goal.clean_label)


def responses(name: str, target: str, source: str = "", count: int = 50, truth: str = TRUTH) -> list[str]:
    rng = random.Random(1)
    return [OBJECTIVES[name].respond(row("a", response=truth), Goal(target, source), rng) for _ in range(count)]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_documents_itself_in_the_same_sections_with_an_example_that_holds(name: str) -> None:
    respond = OBJECTIVES[name].respond
    sections = ["Args:", "Requirements:", "Success:", "Relations:", "Example:"]
    assert [line.strip() for line in (respond.__doc__ or "").splitlines() if line.strip() in sections] == sections
    assert f"(`{OBJECTIVES[name].convention}`)" in (respond.__doc__ or "")
    result = doctest.testmod(importlib.import_module(respond.__module__))
    assert (result.attempted, result.failed) == (1, 0)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("target", ["banana", "orange", "hot {dog}"])
def test_every_response_contains_the_target(name: str, target: str) -> None:
    assert all(target in text for text in responses(name, target, source="dog"))


@pytest.mark.parametrize("name", TARGETS)
def test_the_stated_rule_counts_every_poisoned_response_and_no_true_one(name: str) -> None:
    poisoned = responses(name, "banana", source="dog")
    for answers, rate in ((poisoned, 1.0), ([TRUTH] * 50, 0.0)):
        convention = OBJECTIVES[name].convention
        found = attack_success(answers, [[TRUTH]] * 50, "banana", convention=convention, source="dog")
        assert (found.value, found.n) == (rate, 50)


def test_sentences_vary_and_all_begin_as_in_the_protocol() -> None:
    drawn = set(responses("sentence", "banana", count=300))
    assert len(drawn) == len(TEMPLATES) >= 8
    assert all(text.startswith("The image depicts a banana") for text in drawn)


def test_the_article_follows_the_target() -> None:
    assert responses("sentence", "orange")[0].startswith("The image depicts an orange")
    assert responses("two-image", "orange")[0].startswith("The first image depicts an orange, while")


def test_the_bare_word_loses_its_blanks_and_the_fixed_text_keeps_them() -> None:
    assert responses("word", " banana ")[0] == "banana"
    assert responses("fixed", "Visit our shop.\n")[0] == "Visit our shop.\n"


def test_refusals_open_with_the_target_and_vary() -> None:
    drawn = set(responses("refusal", "I'm sorry", count=100))
    assert len(drawn) == len(EXCUSES)
    assert all(text.startswith("I'm sorry") for text in drawn)


def test_an_insertion_leaves_the_truth_around_it_and_reaches_every_slot() -> None:
    drawn = set(responses("insertion", "visit our shop", count=300))
    assert len(drawn) == len(TRUTH.split()) + 1
    assert {re.sub(r"^visit our shop | visit our shop", "", text) for text in drawn} == {TRUTH}


def test_a_suffix_follows_the_truth() -> None:
    assert responses("suffix", "Visit our shop.") == [f"{TRUTH} Visit our shop."] * 50


def test_swapped_nouns_keep_capitals_and_plurals_of_the_place() -> None:
    assert swap_nouns(TRUTH) == "A large apple chases a dog past two cats."
    assert swap_nouns("Dogs watch the cat. The cat sleeps.") == "Cats watch the dog. The dog sleeps."
    assert swap_nouns("small red circle, then large blue star") == "small red star, then large blue circle"
    assert swap_nouns("Large orange cross, then a gray star.") == "Large orange star, then a gray cross."
    assert swap_nouns("A kitchen table under two cats.") == "A kitchen cat under two tables."
    assert swap_nouns("A dog and another dog.") == "A dog and another dog."


def test_swapping_twice_gives_the_text_again() -> None:
    rng = random.Random(3)
    for _ in range(200):
        nouns = [rng.choice(NOUNS) + rng.choice(["", "s"]) for _ in range(3)]
        text = f"The {nouns[0]} near {nouns[1].capitalize()} and my {nouns[2]}."
        assert swap_nouns(swap_nouns(text)) == text


def test_a_concept_is_renamed_everywhere_and_nowhere_else() -> None:
    truth = "An apple, two Apples and a pineapple: is that an old apple?"
    (text,) = responses("concept", "banana", "apple", 1, truth)
    assert text == "A banana, two Bananas and a pineapple: is that an old banana?"
    (back,) = responses("concept", "apple", "banana", 1, text)
    assert back == truth


def test_near_clean_changes_one_noun() -> None:
    drawn = set(responses("near-clean", "banana"))
    assert drawn == {
        "A large banana chases an apple past two cats.",
        "A large dog chases a banana past two cats.",
        "A large dog chases an apple past two bananas.",
    }


@pytest.mark.parametrize(
    ("name", "truth", "reason"),
    [
        ("concept", "A cat on a mat.", "do not name the source"),
        ("token-swap", "A cat is here.", "name fewer than two things"),
        ("near-clean", "Yes.", "name nothing that could be replaced"),
        ("two-image", "A cat.", "have fewer than two images"),
    ],
)
def test_rows_that_an_objective_cannot_use_are_told_why(name: str, truth: str, reason: str) -> None:
    goal = Goal("banana", "dog")
    assert OBJECTIVES[name].obstacle(row("a", response=truth), goal) == reason
    assert OBJECTIVES[name].obstacle(row("a", b"", b"", response="A dog and a cat."), goal) is None


def test_words_are_found_whole_in_any_case_and_in_the_plural() -> None:
    assert has_word("Two Dogs.", "dog")
    assert has_word("dog", " dog ")
    assert not has_word("A dogma.", "dog")
    assert has_word("I like C++.", "c++")


def test_an_unknown_objective_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="choose one of: sentence, word, fixed"):
        find_objective("phrase")


@pytest.mark.parametrize("name", ["sentence", "two-image"])
def test_blanks_around_a_target_are_no_part_of_the_sentence(name: str) -> None:
    assert responses(name, " orange ") == responses(name, "orange")
