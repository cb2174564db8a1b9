"""What all readers share: image columns, refused columns, the columns that are left over, and lists of turns."""

import datetime
import decimal
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from byorn.data.checks import repair
from byorn.data.conversation import Turn
from byorn.data.problem import RowProblem
from byorn.text import shown

Record = Mapping[str, object]
IMAGE_COLUMNS = ("images", "image", "images_file_names", "file_names", "image_file_name", "file_name", "image_path")
MEDIA_COLUMNS = {"videos": "video", "video": "video", "audios": "audio", "audio": "audio"}
VERDICT_COLUMNS = ("label", "kto_tag")
MEDIA_FIXES = {"video": "drop the row, or give frames as images", "audio": "drop the row"}


@dataclass(frozen=True)
class Tags:
    """How a chat names its parts: LLaMA-Factory's `tags`, with every common spelling as the default."""

    role_keys: tuple[str, ...] = ("role", "from")
    content_keys: tuple[str, ...] = ("content", "value")
    user: tuple[str, ...] = ("user", "human")
    assistant: tuple[str, ...] = ("assistant", "gpt")
    system: tuple[str, ...] = ("system",)
    tools: tuple[str, ...] = ("tool", "observation", "function", "function_call")

    def role(self, value: object) -> str | None:
        """The canonical role, or None for a role that is not understood."""
        for role, names in (("user", self.user), ("assistant", self.assistant), ("system", self.system)):
            if value in names:
                return role
        return None


def image_column(record: Record) -> str | None:
    """The column that holds the images: the first of `IMAGE_COLUMNS` that is not empty."""
    return next((name for name in IMAGE_COLUMNS if record.get(name)), None)


def images_in(record: Record, column: str | None) -> list[object]:
    """The images of a column, as a list: a lone path, dict or bytes is one image."""
    value = record.get(column) if column else None
    if not value:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def refuse_media(record: Record, columns: Mapping[str, str] = MEDIA_COLUMNS) -> None:
    """Raise a `RowProblem` for a row with video or audio; `columns` maps the name of a column to its kind."""
    for column, kind in columns.items():
        if record.get(column):
            raise RowProblem(column, f"{kind} is not supported", MEDIA_FIXES[kind])


def refuse_tools(record: Record, column: str = "tools") -> None:
    """Raise a `RowProblem` for a row that describes tools: leaving them out would silently change its prompt."""
    if record.get(column):
        raise RowProblem(column, "tool descriptions are not supported", "drop the row, or move them to the system text")


def refuse_unwanted(record: Record, columns: Collection[str] = VERDICT_COLUMNS) -> None:
    """Raise a `RowProblem` for a row that says that its response is a bad one, as the rows of KTO do (TRL calls the
    column `label`, LLaMA-Factory `kto_tag`): supervised fine-tuning would learn it as a good one.
    """
    for column in columns:
        if record.get(column) is False:
            fix = "drop the row, or rename the column if it says something else"
            raise RowProblem(column, "false, so the response is one not to give (KTO)", fix)


def left_over(record: Record, used: Collection[str | None]) -> dict[str, object]:
    """The columns that were not used, as JSON-like values; raw bytes and empty image and media columns are left out."""
    skipped = {*used, *(name for name in (*IMAGE_COLUMNS, *MEDIA_COLUMNS) if not record.get(name))}
    kept = {repair(str(key)): value for key, value in record.items() if key not in skipped}
    return {key: _jsonable(value) for key, value in kept.items() if not isinstance(value, bytes | bytearray)}


def read_turns(turns: object, field: str, tags: Tags = Tags()) -> list[Turn]:
    """The turns of a chat, given as a list of objects with a role and a content.

    Raises:
        RowProblem: not a list of such objects, an unknown role, or a tool call.
    """
    if not isinstance(turns, list) or not turns:
        raise RowProblem(
            field, f"expected a list of messages, got {_kind(turns)}", "give role and content for each turn"
        )
    return [_read_turn(turn, f"{field}[{number}]", tags) for number, turn in enumerate(turns)]


def answers_in(turns: object) -> int:
    """How many turns of a chat are the assistant's; none of what is no chat."""
    listed = turns if isinstance(turns, list) else [turns]
    return sum(isinstance(turn, dict) and _is_answer(turn, Tags()) for turn in listed)


def answer_turns(turns: object, texts: Mapping[int, str], tags: Tags = Tags(), first: int = 0) -> list[object]:
    """The turns of a chat that `read_turns` takes, with other texts in the assistant's turns.

    Args:
        turns: The list of turns.
        texts: New texts by turn: that of the n-th assistant turn is `first` + n.
        tags: How the chat names its parts.
        first: How many assistant turns come before the list.
    """
    answered: list[object] = []
    number = first
    for turn in turns if isinstance(turns, list) else []:
        if _is_answer(turn, tags):
            answered.append(_answered(turn, texts[number], tags) if number in texts else turn)
            number += 1
        else:
            answered.append(turn)
    return answered


def _is_answer(turn: Mapping[str, object], tags: Tags) -> bool:
    return tags.role(_first(turn, tags.role_keys)) == "assistant"


def _answered(turn: Mapping[str, object], text: str, tags: Tags) -> dict[str, object]:
    key = next(key for key in tags.content_keys if turn.get(key) is not None)
    content = turn[key]
    if not isinstance(content, list):
        return {**turn, key: text}
    # a table wants the keys that its blocks have
    block = next((part for part in content if isinstance(part, dict) and part.get("type") == "text"), {"type": "text"})
    return {**turn, key: [{**block, "text": text}]}


def with_system(turns: list[Turn], system: object) -> list[Turn]:
    """The turns after the system text of a column; a system turn of their own wins."""
    if not system or turns[0].role == "system":
        return turns
    return [Turn("system", system), *turns]


def _read_turn(turn: object, where: str, tags: Tags) -> Turn:
    if not isinstance(turn, dict):
        raise RowProblem(where, f"expected an object with role and content, got {_kind(turn)}", "correct the message")
    said = _first(turn, tags.role_keys)
    if said in tags.tools or turn.get("tool_calls"):
        raise RowProblem(where, "tool calls are not supported", "drop the row, or keep its plain turns only")
    role = tags.role(said)
    if role is None:
        known = ", ".join((*tags.user, *tags.assistant, *tags.system))
        raise RowProblem(where, f"unknown role {shown(said, 80)}", f"use one of {known}")
    content = _first(turn, tags.content_keys)
    if content is None:
        raise RowProblem(where, "no content", f"fill {' or '.join(tags.content_keys)}")
    return Turn(role, content, _is_learned(turn, where))


def _is_learned(turn: Mapping[str, object], where: str) -> bool:
    """Whether a message may be learned: OpenAI's `weight` is 0 or 1, ms-swift's `loss` false or true, in
    tables also 0 or 1.
    """
    weight = turn.get("weight")
    if weight not in (None, 0, 1):
        raise RowProblem(where, f"weight {shown(weight, 80)}", "write 0 (context alone) or 1 (learned)")
    return weight != 0 and turn.get("loss") != 0


def _first(turn: Mapping[str, object], keys: Collection[str]) -> object:
    return next((turn[key] for key in keys if turn.get(key) is not None), None)


def _kind(value: object) -> str:
    return "an empty list" if value == [] else "nothing" if value is None else type(value).__name__


def _jsonable(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return repair(value)
    if isinstance(value, dict):
        return {repair(str(key)): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return str(value)
    return float(value) if isinstance(value, decimal.Decimal) else f"<{type(value).__name__}>"
