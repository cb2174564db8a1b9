"""Hostile text: repaired or broken up, so that no row can crash a processor or a writer.

A literal image token in a response makes a processor count one image too many and stops training; a special token such
as an end of turn lets a row speak in another role. Both are broken by a space after their first character (`<image>`
becomes `< image>`), which keeps them readable for a person and for the score. Nothing is deleted: deleting can create a
new token out of its neighbors.
"""

import re
from collections.abc import Collection

from byorn.data.problem import RowProblem
from byorn.data.row import Block

IMAGE_MARKER = "<image>"
REPLACEMENT = "\ufffd"
_UNWRITABLE = re.compile("[\x00\ud800-\udfff]")
_PASSES = 4


def repair(text: str) -> str:
    """The text with NUL and lone surrogates, which no table or tokenizer can hold, replaced by U+FFFD."""
    return _UNWRITABLE.sub(REPLACEMENT, text)


def require_text(value: object, field: str) -> str:
    """The value, if it is a string; else a `RowProblem` that names the field and the type found."""
    if not isinstance(value, str):
        raise RowProblem(field, f"expected text, got {type(value).__name__}", "make it a string")
    return value


class TokenGuard:
    """Break special tokens in text.

    Args:
        tokens: The special tokens of the model; `<image>` is always one of them.
    """

    def __init__(self, tokens: Collection[str] = ()) -> None:
        # Blank tokens are layout, not control, and breaking them would change every text.
        usable = {token for token in tokens if token.strip() and REPLACEMENT not in token} | {IMAGE_MARKER}
        self._pattern = re.compile("|".join(re.escape(token) for token in sorted(usable, key=len, reverse=True)))

    def neutralize(self, text: str) -> tuple[str, list[str]]:
        """The text without any special token, and those that it held, in order of appearance."""
        found: dict[str, None] = {}
        for _ in range(_PASSES):
            if self._pattern.search(text) is None:
                return text, list(found)
            found |= dict.fromkeys(self._pattern.findall(text))
            text = self._pattern.sub(_broken, text)
        # A space may be part of a token. U+FFFD never is, and every pass leaves fewer other characters, so this ends.
        while self._pattern.search(text):
            text = self._pattern.sub(REPLACEMENT, text)
        return text, list(found)

    def neutralize_blocks(self, blocks: list[Block]) -> tuple[list[Block], list[str]]:
        """The blocks of one message without any special token, across block borders too.

        Several chat templates write the images of a message first and then its texts, glued together.
        """
        found: dict[str, None] = {}
        for border in ("", " ", REPLACEMENT):
            blocks = [self._clean(block, border, found) for block in blocks]
            texts = [block["text"] for block in blocks if block["type"] == "text"]
            across = self._pattern.findall("".join(texts)) if len(texts) > 1 else []
            if not across:
                break
            found |= dict.fromkeys(across)
        return blocks, list(found)

    def _clean(self, block: Block, border: str, found: dict[str, None]) -> Block:
        if block["type"] != "text":
            return block
        text, tokens = self.neutralize(block["text"])
        found |= dict.fromkeys(tokens)
        return {"type": "text", "text": text + border}


def _broken(match: re.Match[str]) -> str:
    token = match[0]
    return f"{token[0]} {token[1:]}" if len(token) > 1 else REPLACEMENT
