"""An entry of LLaMA-Factory's `dataset_info.json` -> the reader for its file.

Honored: `formatting`, `columns`, `tags`; where the records come from is up to `byorn.data.entries`. Preference data
has no single response, pre-training text no response at all: both are refused.
"""

from collections.abc import Mapping
from functools import partial

from byorn.data.conversation import Conversation
from byorn.data.problem import RowProblem
from byorn.data.readers import alpaca
from byorn.data.readers.columns import (
    MEDIA_COLUMNS,
    MEDIA_FIXES,
    Record,
    Tags,
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
from byorn.errors import DataError
from byorn.text import shown

FORMATTINGS = ("alpaca", "sharegpt", "openai")


def reader_for(name: str, entry: Mapping[str, object]) -> Reader:
    """The reader that an entry describes.

    Raises:
        DataError: preference data, pre-training text, or a formatting that is not known.
    """
    columns = _mapping(entry, "columns", name)
    formatting = entry.get("formatting", "alpaca")
    if entry.get("ranking") or columns.get("kto_tag"):
        raise DataError(
            f"dataset_info.json, {shown(name)}: preference data has no single response; name a supervised entry"
        )
    if formatting not in FORMATTINGS:
        known = ", ".join(FORMATTINGS)
        raise DataError(f"dataset_info.json, {shown(name)}: unknown formatting {shown(formatting)}; use one of {known}")
    if formatting == "alpaca" and columns and "response" not in columns:
        raise DataError(f"dataset_info.json, {shown(name)}: columns name no response; name one, or another entry")
    label = f"llama-factory {formatting}"
    if formatting == "alpaca":
        named = _alpaca_columns(columns)
        read = partial(_read_alpaca, columns=named, media=_media(columns))
        answer = partial(alpaca.answer, columns=named)
        return Reader(label, "as named in dataset_info.json", lambda record: True, read, answer)
    tags = _tags(_mapping(entry, "tags", name), openai=formatting == "openai")
    chat = partial(_read_chat, columns=columns, tags=tags)
    answer_chat = partial(_answer_chat, columns=columns, tags=tags)
    return Reader(label, "as named in dataset_info.json", lambda record: True, chat, answer_chat)


def _read_alpaca(record: Record, columns: alpaca.Columns, media: Mapping[str, str]) -> Conversation:
    refuse_media(record, media)
    return _without_markers(alpaca.read(record, columns))


def _read_chat(record: Record, columns: Mapping[str, str], tags: Tags) -> Conversation:
    refuse_media(record, _media(columns))
    chat = _chat_column(columns)
    system = columns.get("system", "")
    tools = columns.get("tools", "")
    refuse_tools(record, tools)
    refuse_unwanted(record)
    images = columns.get("images") or image_column(record)
    turns = with_system(read_turns(record.get(chat), chat, tags), record.get(system))
    meta = left_over(record, {"id", chat, system, tools, images})
    return _without_markers(Conversation(turns, images_in(record, images), record.get("id"), meta=meta))


def _answer_chat(record: Record, texts: Mapping[int, str], columns: Mapping[str, str], tags: Tags) -> dict[str, object]:
    chat = _chat_column(columns)
    return {**record, chat: answer_turns(record.get(chat), texts, tags)}


def _chat_column(columns: Mapping[str, str]) -> str:
    return columns.get("messages", "conversations")


def _without_markers(conversation: Conversation) -> Conversation:
    """The conversation, unless a prompt has a place for a video or a sound that the row does not hold."""
    for number, turn in enumerate(conversation.turns):
        for kind, fix in MEDIA_FIXES.items():
            if turn.role != "assistant" and isinstance(turn.content, str) and f"<{kind}>" in turn.content:
                raise RowProblem(f"messages[{number}]", f"a <{kind}> marker, and {kind} is not supported", fix)
    return conversation


def _alpaca_columns(columns: Mapping[str, str]) -> alpaca.Columns:
    """As LLaMA-Factory: once `columns` is given, an optional column counts only if it is named there."""
    if not columns:
        return alpaca.Columns(system=None, history=None)
    default = alpaca.Columns()
    return alpaca.Columns(
        prompt=columns.get("prompt", default.prompt),
        query=columns.get("query"),
        response=columns.get("response", default.response),
        system=columns.get("system"),
        history=columns.get("history"),
        images=columns.get("images"),
    )


def _tags(tags: Mapping[str, str], openai: bool) -> Tags:
    """The entry's tags, over LLaMA-Factory's defaults."""
    role, content, user, assistant = (
        ("role", "content", "user", "assistant") if openai else ("from", "value", "human", "gpt")
    )
    return Tags(
        role_keys=(tags.get("role_tag", role),),
        content_keys=(tags.get("content_tag", content),),
        user=(tags.get("user_tag", user),),
        assistant=(tags.get("assistant_tag", assistant),),
        system=(tags.get("system_tag", "system"),),
        tools=(tags.get("observation_tag", "observation"), tags.get("function_tag", "function_call")),
    )


def _media(columns: Mapping[str, str]) -> dict[str, str]:
    """Kinds of media by column, under the entry's names and the usual ones."""
    return {columns[kind]: MEDIA_COLUMNS[kind] for kind in ("videos", "audios") if columns.get(kind)} | MEDIA_COLUMNS


def _mapping(entry: Mapping[str, object], key: str, name: str) -> Mapping[str, str]:
    value = entry.get(key) or {}
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise DataError(f"dataset_info.json, {shown(name)}: {key} must map names to names; correct the entry")
    return value
