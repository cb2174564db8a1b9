"""A row that a family cannot take is refused with the family and its limit named; every other row passes."""

import copy
from dataclasses import replace
from typing import Any

import pytest

from byorn.data.problem import RowProblem
from byorn.data.row import Row, user_message
from byorn.models.limits import conversation_of
from byorn.testing import FAMILIES, build_family, tiny_rows


def said(text: str) -> Any:
    return {"role": "assistant", "content": [{"type": "text", "text": text}]}


def limit_of(row: Row, processor: Any) -> RowProblem | None:
    try:
        conversation_of(row, processor)
    except RowProblem as problem:
        return problem
    return None


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
    strict.chat_template = (
        "{% if messages | length > 2 %}{{ raise_exception('roles must alternate') }}{% endif %}<image> what color?"
    )
    assert limit_of(ONE, strict) is None
    problem = limit_of(TURNS, strict)
    assert problem is not None
    assert problem.reason == "Llava's chat template refuses the conversation (roles must alternate)"


def system(*blocks: Any) -> Row:
    """A row with one image in each image block, behind a system message of these blocks."""
    images = [*ONE.images, *ONE.images][: 1 + sum(block["type"] == "image" for block in blocks)]
    return replace(ONE, prompt=[{"role": "system", "content": list(blocks)}, *ONE.prompt], images=images)


def test_what_a_template_leaves_out_is_said_and_stops_no_run() -> None:
    """Gemma 3's writes the first block of the first message of a system: the processor then finds an image too many."""
    first, image, second = (
        {"type": "text", "text": "Be kind."},
        {"type": "image"},
        {"type": "text", "text": "Be brief."},
    )
    _, processor = build_family("gemma3")
    assert limit_of(system(first), processor) is None
    problem = limit_of(system(first, image), processor)
    assert problem is not None
    assert problem.reason == "Gemma3's chat template leaves out 1 of 2 images"
    problem = limit_of(replace(system(first), prompt=[*system(first).prompt[:1], *system(second).prompt]), processor)
    assert problem is not None
    assert problem.reason == "Gemma3's chat template leaves out text of a system message"


@pytest.mark.parametrize("family", [family for family in FAMILIES if family not in ("mllama", "paligemma")])
def test_no_template_is_said_to_leave_out_what_it_writes(family: str) -> None:
    _, processor = build_family(family)
    padded = replace(TWO, prompt=[user_message(" what\n\ncolor? \n", images=2)])
    for row in (ONE, TWO, TEXT, TURNS, padded):
        assert limit_of(row, processor) is None
