"""TRL's rows: `prompt` and `completion`, or `messages`, with `images` or `image`.

A prompt or completion is a string, a list of messages, or messages of structured blocks. Only what stands in
`completion` is scored. Rows that byorn wrote are of this form, with `id` and `turn`.
"""

from collections.abc import Mapping

from byorn.data.conversation import Conversation, Turn
from byorn.data.readers.columns import (
    Record,
    answer_turns,
    answers_in,
    image_column,
    images_in,
    left_over,
    read_turns,
    refuse_media,
    refuse_tools,
    refuse_unwanted,
)
from byorn.data.readers.reader import Reader

COLLIDING = "byorn_meta"
MAX_TURN = 2**31


def matches(record: Record) -> bool:
    """Whether the record has both halves, or messages with roles."""
    if "prompt" in record and "completion" in record:
        return True
    messages = record.get("messages")
    return isinstance(messages, list) and bool(messages) and isinstance(messages[0], dict) and "role" in messages[0]


def read(record: Record) -> Conversation:
    """The conversation, in which the prompt is context alone."""
    refuse_media(record)
    refuse_tools(record)
    refuse_unwanted(record)
    column = image_column(record)
    used: set[str | None] = {"id", "tools", column}
    turn = None
    scored_from = 0
    if "completion" in record:
        prompt = _half(record.get("prompt"), "prompt", "user")
        turns = prompt + _half(record["completion"], "completion", "assistant")
        scored_from = len(prompt)
        turn = _written_turn(record)
        used |= {"prompt", "completion", *(("turn",) if turn is not None else ())}
    else:
        turns = read_turns(record.get("messages"), "messages")
        used |= {"messages"}
    meta = _with_colliding(left_over(record, used))
    return Conversation(turns, images_in(record, column), record.get("id"), scored_from, turn, meta)


def answer(record: Record, texts: Mapping[int, str]) -> dict[str, object]:
    """The row with other responses; what stands in `prompt` is context and stays."""
    if "completion" not in record:
        return {**record, "messages": answer_turns(record.get("messages"), texts)}
    completion = record["completion"]
    if isinstance(completion, str):
        return {**record, "completion": next(iter(texts.values()), completion)}
    listed = completion if isinstance(completion, list) else [completion]
    if _written_turn(record) is not None:  # its one answer, whatever number it bears
        answered = answer_turns(listed, dict(enumerate(texts.values())))
    else:
        answered = answer_turns(listed, texts, first=answers_in(record.get("prompt")))
    return {**record, "completion": answered if isinstance(completion, list) else answered[0]}


def _half(value: object, field: str, role: str) -> list[Turn]:
    if isinstance(value, str):
        return [Turn(role, value)]
    return read_turns([value] if isinstance(value, dict) else value, field)


def _written_turn(record: Record) -> int | None:
    """The turn number of a row that has both parts of a key, and one answer to bear it: several rows with one key could
    not be told apart.
    """
    turn = record.get("turn")
    if answers_in(record.get("completion")) > 1:
        return None
    if not isinstance(turn, int) or isinstance(turn, bool) or not isinstance(record.get("id"), str):
        return None
    return turn if 0 <= turn < MAX_TURN else None


def _with_colliding(meta: dict[str, object]) -> dict[str, object]:
    """User columns that bore the name of a column of ours were written under `byorn_meta`."""
    colliding = meta.get(COLLIDING)
    if not isinstance(colliding, dict):
        return meta
    return {**{key: value for key, value in meta.items() if key != COLLIDING}, **colliding}


READER = Reader("trl", "prompt and completion, or messages (role, content); images", matches, read, answer)
