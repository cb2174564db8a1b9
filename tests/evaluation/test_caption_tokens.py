"""Our caption tokens against those of pycocoevalcap 1.2; `make_golden.py` made the golden file with it, once."""

import json
import time
from pathlib import Path

import pytest

from byorn.evaluation.tokenizer import tokenize

GOLDEN = json.loads(Path(__file__).with_name("golden_captions.json").read_text())


@pytest.mark.parametrize(("caption", "tokens"), list(zip(GOLDEN["captions"], GOLDEN["tokens"], strict=True)))
def test_tokens_agree_with_the_reference_tokenizer(caption: str, tokens: str) -> None:
    # The reference writes a no-break space inside `1 1/2` and in tags, and every metric splits on it.
    assert tokenize(caption) == tokens.split()


def test_contractions_hyphens_and_numbers() -> None:
    assert tokenize("The dog's well-lit bowl isn't worth $1,000.50!") == (
        ["the", "dog", "'s", "well-lit", "bowl", "is", "n't", "worth", "$", "1,000.50"]
    )


def test_nothing_is_left_of_punctuation_and_blanks() -> None:
    assert [tokenize(text) for text in ("", " \n\t", "...", '"', "- -- .", "\u2028")] == [[]] * 6


def test_a_line_separator_parts_words_and_does_not_shift_captions() -> None:
    assert tokenize("a\u2028b\x85c\rd") == ["a", "b", "c", "d"]


@pytest.mark.parametrize("piece", ["<a", "a%", "a.a,", "a@", "www.", "a-", "'", "1:", "A+", "a'", "\u0301", "a. "])
def test_hostile_captions_cost_linear_time(piece: str) -> None:
    started = time.perf_counter()
    tokenize(piece * 20_000)
    assert time.perf_counter() - started < 10


def test_known_difference_a_phone_number_with_brackets() -> None:
    # The reference makes one token of `(555)` here: `-lrb-555-rrb-`.
    assert tokenize("(555) 123-4567") == ["-lrb-", "555", "-rrb-", "123-4567"]
