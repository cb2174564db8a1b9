"""Hostile text for a page: what cannot be seen is shown by its number, so that no row can hide or reorder words."""

import unicodedata
from typing import TypedDict

MOST = 20_000
"""Characters of a text that are shown."""
_UNSEEN = frozenset({"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"})
_BLANKS = frozenset("\u115f\u1160\u3164\uffa0\u2800")  # letters and symbols that draw nothing


class Piece(TypedDict):
    """A part of a text; `hidden` is a character that nobody would see, as `U+202E`."""

    text: str
    hidden: bool


def pieces_of(text: str) -> list[Piece]:
    """The text in pieces; format, control and private characters, direction marks among them, stand alone. Of a text
    over `MOST` characters the rest is counted.
    """
    found: list[Piece] = []
    for letter in text[:MOST]:
        hidden = _is_hidden(letter)
        if hidden or not found or found[-1]["hidden"]:
            found.append({"text": f"U+{ord(letter):04X}" if hidden else letter, "hidden": hidden})
        else:
            found[-1]["text"] += letter
    if len(text) > MOST:
        found.append({"text": f"{len(text) - MOST:,} more characters", "hidden": True})
    return found


def plain(text: str) -> str:
    """The same as one line of text."""
    shown = "".join(f"⟨{piece['text']}⟩" if piece["hidden"] else piece["text"] for piece in pieces_of(text))
    return " ".join(shown.split())


def _is_hidden(letter: str) -> bool:
    return letter not in "\n\t" and (unicodedata.category(letter) in _UNSEEN or letter in _BLANKS)
