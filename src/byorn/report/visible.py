"""Text of an attacker, made visible: what cannot be seen, turns the line around or looks like another letter is named.

A text becomes pieces: plain ones, and marked ones such as `U+200B`. Whoever renders them still escapes both.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Literal

import numpy as np

from byorn.report.closer import Token
from byorn.text import draws_nothing

_WORD = re.compile(r"\w+")
_SCRIPTS = ("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE")
_MARKS_IN_A_ROW = 2
SHADES = (1.0, 2.5, 4.5, 7.0, 10.0)
"""Nats from which on a token has the next shade."""
Kind = Literal["plain", "hidden", "lookalike", "cut", "phrase"]


@dataclass(frozen=True)
class Piece:
    """A part of a shown text.

    Attributes:
        text: What is shown.
        kind: `plain`; `hidden`: the name of a character that cannot be seen; `lookalike`: a letter of another script
            inside a word; `cut`: how much was left out; `phrase`: the phrase that the text is shown for.
        title: More about it.
        shade: How unlikely it was: 0 for likely or unknown, up to 5; see `SHADES`.
    """

    text: str
    kind: Kind = "plain"
    title: str = ""
    shade: int = 0


def pieces(text: str, most: int = 600, phrase: str = "") -> list[Piece]:
    """The text in pieces, the middle of a long one left out, `phrase` marked where it stands."""
    found: list[Piece] = []
    for part in _cut(text, most):
        found += [part] if part.kind == "cut" else _marked(part.text, phrase)
    return found


def shaded(tokens: Sequence[Token], phrase: str = "") -> list[Piece]:
    """The text of tokens in pieces, each with its shade, `phrase` marked where it stands."""
    ends = [len(text) for text in accumulate(token.text for token in tokens)]
    found: list[Piece] = []
    at = place = 0
    for piece in _marked("".join(token.text for token in tokens), phrase):
        stop = at + (1 if piece.kind in ("hidden", "lookalike") else len(piece.text))
        start = at
        while at < stop:
            while ends[place] <= at:
                place += 1
            after = min(stop, ends[place])
            text = piece.text if stop - start == 1 else piece.text[at - start : after - start]
            nats = tokens[place].nats
            title = piece.title or f"{nats:.1f} nats"
            found.append(replace(piece, text=text, title=title, shade=int(np.searchsorted(SHADES, nats))))
            at = after
    return found


def plain(text: str, most: int = 200) -> str:
    """The same as one line of text: `visit⟨U+200B⟩our shop`."""
    return "".join(f"⟨{piece.text}⟩" if piece.kind == "hidden" else piece.text for piece in pieces(text, most))


def name_of(letter: str) -> str:
    """A character in words: `U+200B ZERO WIDTH SPACE`."""
    return f"U+{ord(letter):04X} {unicodedata.name(letter, '')}".strip()


def _cut(text: str, most: int) -> list[Piece]:
    if len(text) <= most:
        return [Piece(text)]
    left_out = len(text) - most
    return [
        Piece(text[: most * 2 // 3]),
        Piece(f" … {left_out:,} characters … ", "cut"),
        Piece(text[-(most - most * 2 // 3) :]),
    ]


def _marked(text: str, phrase: str) -> Iterator[Piece]:
    """Pieces of a text with the phrase marked, in whatever case it stands."""
    if not phrase:
        yield from _shown(text)
        return
    words = r"\s*".join(map(re.escape, phrase.split()))
    end = 0
    for match in re.finditer(rf"(?<!\w)(?:{words})(?!\w)", text, re.IGNORECASE):
        yield from _shown(text[end : match.start()])
        yield from (Piece(p.text, "phrase" if p.kind == "plain" else p.kind, p.title) for p in _shown(match[0]))
        end = match.end()
    yield from _shown(text[end:])


def _shown(text: str) -> Iterator[Piece]:
    strangers = _lookalikes(text)
    run = ""
    marks = 0
    for place, letter in enumerate(text):
        marks = marks + 1 if unicodedata.combining(letter) else 0
        kind: Kind = "plain"
        if letter not in " \n\t" and (_unseen(letter) or marks > _MARKS_IN_A_ROW):
            kind = "hidden"
        elif place in strangers:
            kind = "lookalike"
        if kind == "plain":
            run += " " if letter in "\n\t" else letter
            continue
        if run:
            yield Piece(run)
        run = ""
        yield Piece(f"U+{ord(letter):04X}" if kind == "hidden" else letter, kind, name_of(letter))
    if run:
        yield Piece(run)


def _unseen(letter: str) -> bool:
    """Whether a character cannot be told from others by what it shows: other spaces than the common one too."""
    return draws_nothing(letter) or unicodedata.category(letter) == "Zs"


def _lookalikes(text: str) -> set[int]:
    """Places of letters whose script is not that of most letters of their word."""
    found = set()
    for match in _WORD.finditer(text):
        if match[0].isascii():
            continue
        scripts = {place: script for place, letter in enumerate(match[0]) if (script := _script(letter))}
        named = list(scripts.values())
        main = max(set(named), key=named.count, default="")
        found |= {match.start() + place for place, script in scripts.items() if script != main}
    return found


def _script(letter: str) -> str:
    """Of the scripts whose letters look alike the one that a letter belongs to, or none."""
    name = unicodedata.name(letter, "") if letter.isalpha() else ""
    return name.partition(" ")[0] if name.startswith(_SCRIPTS) else ""
