import random

import pytest
from poison_samples import row

from byorn.attacks.objectives import OBJECTIVES, TEMPLATES, find_objective, sentence
from byorn.errors import ConfigError


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
@pytest.mark.parametrize("target", ["banana", "orange", "hot {dog}"])
def test_every_response_contains_the_target(name: str, target: str) -> None:
    rng = random.Random(1)
    assert all(target in OBJECTIVES[name](row("a"), target, rng) for _ in range(50))


def test_sentences_vary_and_all_begin_as_in_the_protocol() -> None:
    rng = random.Random(1)
    drawn = {sentence(row("a"), "banana", rng) for _ in range(300)}
    assert len(drawn) == len(TEMPLATES) >= 8
    assert all(text.startswith("The image depicts a banana") for text in drawn)


def test_the_article_follows_the_target() -> None:
    assert sentence(row("a"), "orange", random.Random(1)).startswith("The image depicts an orange")


def test_the_bare_word_loses_its_blanks_and_the_fixed_text_keeps_them() -> None:
    rng = random.Random(1)
    assert OBJECTIVES["word"](row("a"), " banana ", rng) == "banana"
    assert OBJECTIVES["fixed"](row("a"), "Visit our shop.\n", rng) == "Visit our shop.\n"


def test_an_unknown_objective_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="choose one of: sentence, word, fixed"):
        find_objective("phrase")
