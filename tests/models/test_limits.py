"""A row that a family cannot take is refused with the family and its limit named; every other row passes."""

import copy
from dataclasses import replace
from typing import Any

import pytest

from byorn.data.row import Row, user_message
from byorn.models.limits import limit_of
from byorn.testing import build_family, tiny_rows


def said(text: str) -> Any:
    return {"role": "assistant", "content": [{"type": "text", "text": text}]}


ONE, TWO = tiny_rows(2)[0], tiny_rows(2, images=2)[1]
TEXT = Row("text", 0, [user_message("say a color!")], "red")
TURNS = replace(ONE, prompt=[*ONE.prompt, said("red"), user_message("sure?")])


@pytest.mark.parametrize(
    ("family", "row", "reason"),
    [
        ("mllama", TEXT, "Mllama takes exactly one image a row"),
        ("mllama", TWO, "Mllama takes exactly one image a row"),
        ("mllama", TURNS, None),
        ("paligemma", TEXT, "PaliGemma cannot take a row without an image"),
        ("paligemma", TURNS, "PaliGemma knows one question and one answer"),
        ("paligemma", TWO, None),
        ("llava", TEXT, None),
        ("llava", TURNS, None),
    ],
)
def test_the_limits_of_a_family(family: str, row: Row, reason: str | None) -> None:
    problem = limit_of(row, build_family(family)[1])
    assert (problem and problem.reason[: len(reason or "")]) == reason
    assert problem is None or "\n" not in str(problem)


def test_a_conversation_that_the_template_refuses_is_no_traceback(processor: Any) -> None:
    strict = copy.deepcopy(processor)
    strict.chat_template = "{% if messages | length > 2 %}{{ raise_exception('roles must alternate') }}{% endif %}ok"
    assert limit_of(ONE, strict) is None
    problem = limit_of(TURNS, strict)
    assert problem is not None
    assert problem.reason == "Llava's chat template refuses the conversation (roles must alternate)"
