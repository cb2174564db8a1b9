"""LLaVA's JSON: `conversations` (turns from human and gpt, `<image>` inside the text) and `image` (path or list)."""

from byorn.data.readers import sharegpt
from byorn.data.readers.columns import Record
from byorn.data.readers.reader import Reader


def matches(record: Record) -> bool:
    """Whether the record is a chat with LLaVA's `image`, or without any image."""
    turns = record.get("conversations")
    if not isinstance(turns, list) or "images" in record:
        return False
    return bool(turns) and isinstance(turns[0], dict) and "from" in turns[0]


# The two formats differ in how they are recognized; a chat is read the same way.
READER = Reader("llava", "conversations (from, value), image", matches, sharegpt.read, sharegpt.answer)
