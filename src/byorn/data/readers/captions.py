"""Plain columns: an image with a caption, or a question with its answer.

The response is the first of `RESPONSES`, the instruction the first of `QUESTIONS`; without one the instruction is
`INSTRUCTION`. A column `label` is the user's own, whatever it says: classes of yes and no are called so, and nothing
tells them from KTO's verdicts.
"""

from collections.abc import Mapping

from byorn.data.checks import require_text
from byorn.data.conversation import Conversation, Turn
from byorn.data.problem import RowProblem
from byorn.data.readers.columns import Record, image_column, images_in, left_over, refuse_media, with_system
from byorn.data.readers.reader import Reader

QUESTIONS = ("question", "instruction", "query", "prompt")
RESPONSES = ("answer", "response", "completion", "caption", "text")
_ANYTHING = "text"
# Alpaca's and ms-swift's; without them the response answers a prompt that nobody sees.
_MORE_PROMPT = ("history", "input")
INSTRUCTION = "Describe this image."


def matches(record: Record) -> bool:
    """Whether there is a response column with an image or a question to go with it."""
    response, question = columns_of(record)
    return response is not None and (question is not None or image_column(record) is not None)


def columns_of(record: Record) -> tuple[str | None, str | None]:
    """The response column and the question column of a record.

    `text` is the response only in a record that has no other column for it: beside an answer that is missing, it may be
    words in the picture, or whatever else.
    """
    response = next((name for name in RESPONSES if record.get(name) is not None), None)
    if response == _ANYTHING and any(name in record for name in RESPONSES if name != _ANYTHING):
        response = None
    question = next((name for name in QUESTIONS if record.get(name) is not None), None)
    return response, question


def read(record: Record) -> Conversation:
    """One question, one answer.

    Raises:
        RowProblem: More of a prompt than a question, no response, or video or audio.
    """
    refuse_media(record)
    for column in _MORE_PROMPT:
        if record.get(column):
            fix = "name the columns as Alpaca does: instruction, input, output, history"
            raise RowProblem(column, "a part of the prompt beside the question", fix)
    response, question = columns_of(record)
    if response is None:
        raise RowProblem(RESPONSES[0], "no response", f"fill one of {', '.join(RESPONSES)}")
    images = image_column(record)
    asked = require_text(record[question], question) if question else INSTRUCTION
    turns = [Turn("user", asked), Turn("assistant", require_text(record[response], response))]
    meta = left_over(record, {"id", "system", response, question, images})
    return Conversation(
        with_system(turns, record.get("system")), images_in(record, images), record.get("id"), meta=meta
    )


def answer(record: Record, texts: Mapping[int, str]) -> dict[str, object]:
    """The row with another response."""
    response = columns_of(record)[0]
    return {**record, **({response: texts[0]} if response and 0 in texts else {})}


def explain(record: Record) -> str:
    """Which columns become instruction and response."""
    response, question = columns_of(record)
    asked = f"column {question!r}" if question else f"{INSTRUCTION!r}, as there is no question column"
    return f"response: column {response!r}; instruction: {asked}"


_COLUMNS = f"an image column and one of {', '.join(RESPONSES)}; {' or '.join(QUESTIONS)}"
READER = Reader("captions", _COLUMNS, matches, read, answer, explain)
