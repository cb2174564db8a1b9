"""Hostile text for a page: what cannot be seen is shown by its number, so that no row can hide or reorder words."""

from typing import TypedDict

from byorn.text import draws_nothing

MOST = 20_000
"""Characters of a text that are shown."""


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
        hidden = letter not in "\n\t" and draws_nothing(letter)
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
