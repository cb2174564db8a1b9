"""Our caption tokens against those of pycocoevalcap 1.2; `make_golden.py` made the golden file with it."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from byorn.evaluation.tokenizer import tokenize

GOLDEN = json.loads(Path(__file__).with_name("golden_captions.json").read_text())
# The only captions that people or models might write on which we are known to differ, and on what.
KNOWN_DIFFERENCES = {
    "A C++ book next to a C# book": "C++",
    "A map of Calif. and Tex. on the wall": "Tex.",
    "Sen. Warren speaks at a rally in Cambridge, Mass. on Tuesday.": "Mass.",
    "Apples cost $1.25/lb. at the farmers' market.": "1.25/lb",
    "A bar chart: sales rose 12.5% from $1.2M in 2019 to $1.35M in 2020.": "1.2M",
    "A file named IMG_2034.JPG on a screen": "IMG_2034.JPG",
    "A 5-ft.-tall statue of a gorilla": "5-ft.-tall",
    "The do's and don'ts of surfing": "don'ts",
}


def differences(captions: dict[str, str]) -> dict[str, tuple[list[str], list[str]]]:
    # The reference writes a no-break space inside `1 1/2` and in tags, and every metric splits on it.
    pairs = {caption: (tokenize(caption), tokens.split()) for caption, tokens in captions.items()}
    return {caption: pair for caption, pair in pairs.items() if pair[0] != pair[1]}


def test_tokens_agree_with_the_reference_tokenizer_but_for_known_differences() -> None:
    different = differences(GOLDEN["varied"])
    assert {caption: pair for caption, pair in different.items() if caption not in KNOWN_DIFFERENCES} == {}
    assert (len(different), len(GOLDEN["varied"])) == (8, 305)


def test_most_oddities_agree_too() -> None:
    assert (len(differences(GOLDEN["odd"])), len(GOLDEN["odd"])) == (15, 76)


def test_contractions_hyphens_and_numbers() -> None:
    assert tokenize("The dog's well-lit bowl isn't worth $1,000.50!") == (
        ["the", "dog", "'s", "well-lit", "bowl", "is", "n't", "worth", "$", "1,000.50"]
    )


def test_dots_end_sentences_but_not_abbreviations() -> None:
    assert tokenize("Mr. Fox naps. At 5 p.m. he eats, etc.") == (
        ["mr.", "fox", "naps", "at", "5", "p.m.", "he", "eats", "etc."]
    )


def test_nothing_is_left_of_punctuation_and_blanks() -> None:
    assert [tokenize(text) for text in ("", " \n\t", "...", '"', "- -- .", "\u2028")] == [[]] * 6


def test_a_line_separator_parts_words_and_does_not_shift_captions() -> None:
    assert tokenize("a\u2028b\x85c\rd") == ["a", "b", "c", "d"]


def test_the_private_mark_for_kept_pieces_cannot_be_smuggled_in() -> None:
    assert tokenize("a \ue000 dog \ue000 @zoo") == ["a", "dog", "@zoo"]


HOSTILE = [
    "<a",
    "a%",
    "a.a,",
    "a@",
    "a@a.",
    "www.",
    "http://",
    "a-",
    "'",
    '."',
    "1:",
    "A+",
    "A&",
    "a'",
    "\u0301",
    "a. ",
    ". ",
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_captions_cost_linear_time(piece: str) -> None:
    tokenize("NLTK is imported before the clock starts")
    started = time.perf_counter()
    tokenize(piece * 20_000)
    assert time.perf_counter() - started < 10


def test_nltk_is_not_imported_before_the_first_caption() -> None:
    script = "import sys, byorn.evaluation.cider; sys.exit('nltk' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
