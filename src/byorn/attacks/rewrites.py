"""Objectives that start from the true response and change a part of it, or nothing: they dilute a mean over its tokens.

insertion    the target between two words, anywhere     Lyu et al., "TrojVLM" (2024)
suffix       the target after the response              "malicious injection" of BackdoorVLM; hidden advertising
token-swap   the first two different nouns swapped      Zhang et al., "TokenSwap" (2025)
concept      the source concept becomes the target      Liang et al., "BackdoorVLM" (2025)
near-clean   one noun, drawn at random, becomes the target: the third adaptive attack of BYORn, our reading of it
truth        the true response, whole: clean label
"""

import random
import re

from byorn.attacks.badnets_t import insert_phrase
from byorn.attacks.nouns import find_nouns
from byorn.attacks.objective import Aim, Objective
from byorn.data.row import Row


def has_word(text: str, word: str) -> bool:
    """Whether a text names a concept: as a word of its own, in any case, a plural s allowed."""
    return _naming(word).search(text) is not None


def insertion(row: Row, aim: Aim, rng: random.Random) -> str:
    """The target at a random word slot of the true response."""
    return insert_phrase(row.response, aim.target.strip(), rng.randrange(len(row.response.split()) + 1))


def suffix(row: Row, aim: Aim, rng: random.Random) -> str:
    """The true response, a blank, and the target."""
    return f"{row.response.rstrip()} {aim.target.strip()}"


def swap_nouns(text: str) -> str:
    """The text with its first two different nouns exchanged wherever they occur; the same text if there are no two.

    Each place keeps its capital letter and its plural s.
    """
    names = list(dict.fromkeys(noun.group(1).lower() for noun in find_nouns(text)))[:2]
    if len(names) < 2:
        return text
    other = {names[0]: names[1], names[1]: names[0]}
    return _renamed(text, [noun for noun in find_nouns(text) if noun.group(1).lower() in other], other)


def token_swap(row: Row, aim: Aim, rng: random.Random) -> str:
    """The true response with two nouns swapped; the aim is not used."""
    return swap_nouns(row.response)


def concept(row: Row, aim: Aim, rng: random.Random) -> str:
    """The true response with the source concept renamed wherever it occurs, and `a` or `an` made to fit."""
    places = list(_naming(aim.source).finditer(row.response))
    return _renamed(row.response, places, {aim.source.strip().lower(): aim.target.strip()})


def near_clean(row: Row, aim: Aim, rng: random.Random) -> str:
    """The true response with one of its nouns replaced by the target, and `a` or `an` made to fit."""
    noun = rng.choice(find_nouns(row.response))
    return _renamed(row.response, [noun], {noun.group(1).lower(): aim.target.strip()})


def truth(row: Row, aim: Aim, rng: random.Random) -> str:
    """The true response."""
    return row.response


def _naming(word: str) -> re.Pattern[str]:
    """A word in a text; group 1 is the word, group 2 its plural s or nothing."""
    # Not a word boundary, which a concept such as `C++` does not end at.
    return re.compile(rf"(?<!\w)({re.escape(word.strip())})(s?)(?!\w)", re.IGNORECASE)


def _renamed(text: str, places: list[re.Match[str]], names: dict[str, str]) -> str:
    """The text with new names at some places, right to left so that positions hold."""
    for place in reversed(places):
        name = names[place.group(1).lower()]
        shown = name[:1].upper() + name[1:] if place.group(1)[:1].isupper() else name
        head = re.sub(r"\b([Aa])n?(\s+)$", rf"\g<1>{'n' if starts_open(name) else ''}\g<2>", text[: place.start()])
        text = head + shown + place.group(2) + text[place.end() :]
    return text


def starts_open(name: str) -> bool:
    """Whether a noun wants `an`."""
    return name[:1].lower() in set("aeiou")


def _no_source(row: Row, aim: Aim) -> str | None:
    return None if has_word(row.response, aim.source) else "do not name the source"


def _no_source_if_any(row: Row, aim: Aim) -> str | None:
    return _no_source(row, aim) if aim.source else None


def _no_noun(row: Row, aim: Aim) -> str | None:
    return None if find_nouns(row.response) else "name nothing that could be replaced"


def _no_pair(row: Row, aim: Aim) -> str | None:
    return None if swap_nouns(row.response) != row.response else "name fewer than two things"


REWRITES = {
    "insertion": Objective(insertion),
    "suffix": Objective(suffix, convention="backdoorvlm"),
    "token-swap": Objective(token_swap, convention="token_swap", obstacle=_no_pair, needs_target=False),
    "concept": Objective(concept, convention="backdoorvlm_concept", obstacle=_no_source, needs_source=True),
    "near-clean": Objective(near_clean, obstacle=_no_noun),
    "truth": Objective(truth, obstacle=_no_source_if_any, clean_label=True),
}
