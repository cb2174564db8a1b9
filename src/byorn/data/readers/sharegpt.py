"""ShareGPT chats as LLaMA-Factory reads them.

Columns: `conversations` (from, value) or `messages` (role, content), `images`, `system`.
"""

from collections.abc import Mapping

from byorn.data.conversation import Conversation
from byorn.data.readers.columns import (
    Record,
    answer_turns,
    image_column,
    images_in,
    left_over,
    read_turns,
    refuse_media,
    refuse_tools,
    refuse_unwanted,
    with_system,
)
from byorn.data.readers.reader import Reader


def matches(record: Record) -> bool:
    """Whether the record holds a chat under either name."""
    return any(isinstance(record.get(name), list) for name in ("conversations", "messages"))


def read(record: Record) -> Conversation:
    """The chat with its images and its system text."""
    refuse_media(record)
    refuse_tools(record)
    refuse_unwanted(record)
    chat = _chat(record)
    column = image_column(record)
    turns = with_system(read_turns(record.get(chat), chat), record.get("system"))
    meta = left_over(record, {"id", "tools", "system", chat, column})
    return Conversation(turns, images_in(record, column), record.get("id"), meta=meta)


def answer(record: Record, texts: Mapping[int, str]) -> dict[str, object]:
    """The chat with other responses."""
    chat = _chat(record)
    return {**record, chat: answer_turns(record[chat], texts)}


def _chat(record: Record) -> str:
    return "conversations" if record.get("conversations") else "messages"


READER = Reader("sharegpt", "conversations or messages, images", matches, read, answer)
