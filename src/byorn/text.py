"""How words get into a text: inserted, renamed, with the article that they need; and how foreign text is shown."""

import re
import unicodedata
from pathlib import Path, PureWindowsPath

_BLANK = "\u115f\u1160\u3164\uffa0\u2800"  # letters and a symbol without a stroke


def insert_phrase(text: str, phrase: str, slot: int) -> str:
    """`phrase` before the word with number `slot` of the text, or after the last one; nothing else changes."""
    starts = [match.start() for match in re.finditer(r"\S+", text)]
    if slot < len(starts):
        return f"{text[: starts[slot]]}{phrase} {text[starts[slot] :]}"
    body = text.rstrip()
    return f"{body} {phrase}{text[len(body) :]}" if body else f"{text}{phrase}"


def has_word(text: str, word: str) -> bool:
    """Whether a text names a concept: as a word of its own, in any case, a plural s allowed."""
    return naming(word).search(text) is not None


def naming(word: str) -> re.Pattern[str]:
    """A word in a text; group 1 is the word, group 2 its plural s or nothing."""
    # Not a word boundary, which a concept such as `C++` does not end at.
    return re.compile(rf"(?<!\w)({re.escape(word.strip())})(s?)(?!\w)", re.IGNORECASE)


def rename(text: str, places: list[re.Match[str]], names: dict[str, str]) -> str:
    """The text with new names at some places, which keep their capital letter and plural s; `a` or `an` is made to fit.

    Args:
        places: Matches in the text, group 1 the name and group 2 its plural s, in order.
        names: Old name in lower case -> new name.
    """
    for place in reversed(places):  # right to left, so that positions hold
        # a dotless i is found by another one, and has no lower case of its own
        name = names.get(place.group(1).lower()) or next(iter(names.values()))
        shown = name[:1].upper() + name[1:] if place.group(1)[:1].isupper() else name
        head = re.sub(r"\b([Aa])n?(\s+)$", rf"\g<1>{'n' if _starts_open(name) else ''}\g<2>", text[: place.start()])
        text = head + shown + place.group(2) + text[place.end() :]
    return text


def with_article(noun: str) -> str:
    """The noun behind `a` or `an`, by its first letter; blanks around it are left out."""
    noun = noun.strip()
    return f"{'an' if _starts_open(noun) else 'a'} {noun}"


def _starts_open(name: str) -> bool:
    return name[:1].lower() in set("aeiou")


def first_line(error: BaseException) -> str:
    """The first line of an error's message, short, without control characters."""
    text = (str(error).splitlines() or [""])[0] or type(error).__name__
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:200]


def public_name(name: str) -> str:
    """A hub name as it is; of what is or was a path, here or on another machine, the last part alone."""
    hub = re.fullmatch(r"[\w][\w.-]*(/[\w][\w.-]*)?", name)
    return name if hub and not Path(name).exists() else PureWindowsPath(name).name  # which knows both kinds of slash


def shown(value: object, width: int = 60) -> str:
    """A foreign value for a message: quoted on one line, cut to `width` characters."""
    try:
        quoted = repr(value[: width + 1] if isinstance(value, str) else value)
    except RecursionError:
        quoted = f"a {type(value).__name__} nested too deeply"
    return quoted if len(quoted) <= width + 2 else f"{quoted[:width]}..."


def clip(text: str, width: int) -> str:
    """Foreign text on one line of a table: what cannot be printed is a blank, and what is too long is cut."""
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    return line if len(line) <= width else line[: width - 1] + "…"


def draws_nothing(letter: str) -> bool:
    """Whether nobody would see a character: controls, formats, direction marks among them, private and unknown ones,
    ends of lines. A space of any width is seen as one.
    """
    kind = unicodedata.category(letter)
    return kind[0] == "C" or kind in ("Zl", "Zp") or letter in _BLANK
