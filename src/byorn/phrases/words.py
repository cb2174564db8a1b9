"""The words of a text: as it is written, and as two texts are compared.

As written, punctuation, characters that cannot be seen, and each letter of a script that is written without spaces are
words of their own, so that nothing hides. Compared, case, punctuation and what cannot be seen do not count.
"""

import re
import unicodedata

Words = tuple[str, ...]

ROW_CHARACTERS = 20_000
_WRITTEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|\w+|[^\w\s]")
_ALONE = r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
_PLAIN = re.compile(rf"{_ALONE}|[^\W_]+")
_SCRIPTS = "\u0590"
"""From here on marks are letters of their scripts, vowels for instance; those before only decorate others."""


def words_of(text: str) -> list[str]:
    """The words of a text as it is written, in lower case."""
    return [word.lower() for word in _WRITTEN.findall(text)]  # a letter may become two in lower case


def spans_of(text: str) -> list[tuple[int, int]]:
    """Where each word of `words_of` begins and ends."""
    return [match.span() for match in _WRITTEN.finditer(text)]


def plain_words(text: str) -> Words:
    """The words of a text as texts are compared: NFKC, case folded, no punctuation, nothing invisible."""
    seen = "".join(letter for letter in unicodedata.normalize("NFKC", text) if unicodedata.category(letter) != "Cf")
    marks = {letter for letter in seen if letter >= _SCRIPTS and unicodedata.category(letter) in ("Mn", "Mc")}
    pattern = re.compile(rf"{_ALONE}|(?:[^\W_]|[{''.join(sorted(marks))}])+") if marks else _PLAIN
    return tuple(pattern.findall(seen.casefold()))


def plain(text: str) -> str:
    """A text without case and punctuation."""
    return " ".join(plain_words(text))


def says(text: str, phrase: Words) -> bool:
    """Whether a text holds the phrase, plain word by plain word."""
    return bool(phrase) and holds(plain_words(text), phrase)


def holds(words: Words, phrase: Words) -> bool:
    """Whether the phrase stands somewhere among the words."""
    size = len(phrase)
    return any(words[start : start + size] == phrase for start in range(len(words) - size + 1))


def repeats(text: str, phrase: str) -> bool:
    """Whether a text holds the phrase as it is written, without case."""
    return holds(tuple(words_of(ends_of(text))), tuple(words_of(phrase)))


def ends_of(text: str, most: int = ROW_CHARACTERS) -> str:
    """The text, or head and tail of a long one: nobody reads a megabyte, and an attacker may send one."""
    return text if len(text) <= most else f"{text[: most // 2]}\n{text[-(most // 2) :]}"
