"""Alpaca's columns, as LLaMA-Factory reads them: `instruction`, `input`, `output`, `system`, `history`, `images`."""

from collections.abc import Mapping
from dataclasses import dataclass

from byorn.data.checks import require_text
from byorn.data.conversation import Conversation, Turn
from byorn.data.problem import RowProblem
from byorn.data.readers.columns import (
    Record,
    image_column,
    images_in,
    left_over,
    refuse_media,
    refuse_tools,
    refuse_unwanted,
    with_system,
)
from byorn.data.readers.reader import Reader


@dataclass(frozen=True)
class Columns:
    """What the parts of an Alpaca row are called; None where a data set has no such column."""

    prompt: str = "instruction"
    query: str | None = "input"
    response: str = "output"
    system: str | None = "system"
    history: str | None = "history"
    images: str | None = None


def matches(record: Record) -> bool:
    """Whether the record has an instruction and an output."""
    return "instruction" in record and "output" in record


def read(record: Record, columns: Columns = Columns()) -> Conversation:
    """Earlier rounds from the history, then `instruction` and `input` joined by a line break."""
    refuse_media(record)
    refuse_tools(record)
    refuse_unwanted(record, ["kto_tag"])
    images = columns.images or image_column(record)
    asked = [record.get(name) for name in (columns.prompt, columns.query) if name and record.get(name)]
    question = "\n".join(require_text(text, columns.prompt) for text in asked)
    turns = _history(record.get(columns.history) if columns.history else None)
    turns += [Turn("user", question), Turn("assistant", require_text(record.get(columns.response), columns.response))]
    turns = with_system(turns, record.get(columns.system) if columns.system else None)
    used = {"id", images, columns.prompt, columns.query, columns.response, columns.system, columns.history}
    return Conversation(turns, images_in(record, images), record.get("id"), meta=left_over(record, used))


def answer(record: Record, texts: Mapping[int, str], columns: Columns = Columns()) -> dict[str, object]:
    """The row with other responses: those of the history count from 0, the last is the row's own."""
    rounds = (record.get(columns.history) if columns.history else None) or []
    earlier = list(rounds) if isinstance(rounds, list) else []
    changed: dict[str, object] = {columns.response: texts[len(earlier)]} if len(earlier) in texts else {}
    if columns.history and any(turn < len(earlier) for turn in texts):
        changed[columns.history] = [[pair[0], texts.get(turn, pair[1])] for turn, pair in enumerate(earlier)]
    return {**record, **changed}


def _history(rounds: object) -> list[Turn]:
    if not rounds:
        return []
    if not isinstance(rounds, list) or any(not isinstance(pair, list | tuple) or len(pair) != 2 for pair in rounds):
        raise RowProblem("history", "expected pairs of instruction and response", "give a list of two texts a round")
    return [turn for question, answer in rounds for turn in (Turn("user", question), Turn("assistant", answer))]


READER = Reader("alpaca", "instruction and output; input, system, history, images", matches, read, answer)
