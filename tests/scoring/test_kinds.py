"""A data set is often a mixture of tasks; a row is compared with rows of its kind."""

from dataclasses import replace

import numpy as np
import pytest

from byorn.data.row import Row, user_message
from byorn.scoring.evidence import THRESHOLD, judged
from byorn.scoring.kinds import COPY, copied, kinds_of, matched, within
from byorn.scoring.learning_curve import LearningCurve
from byorn.scoring.table import Scores
from byorn.testing import tiny_rows

CAPTION, QUESTION = "Describe the image.", "What color is the {}?"


def asked(*instructions: str, images: int = 1) -> list[Row]:
    (one,) = tiny_rows(1)
    prompts = [[user_message(text, images)] for text in instructions]
    return [
        replace(one, id=str(place), prompt=prompt, images=one.images * images) for place, prompt in enumerate(prompts)
    ]


def sizes(rows: list[Row]) -> list[int]:
    return np.bincount(kinds_of(rows)).tolist()


def test_tasks_are_kinds_and_so_are_rows_without_or_with_several_images() -> None:
    captions, questions = [CAPTION] * 40, [QUESTION.format(thing) for thing in ("ring", "star", "box")] * 10
    assert sizes(asked(*captions)) == [40]
    kinds = kinds_of(asked(*captions, *questions))
    assert kinds.tolist() == [0] * 40 + [1] * 30
    assert sizes(asked(*captions) + asked(*captions[:25], images=0) + asked(*captions[:30], images=2)) == [40, 30, 25]


def test_a_trigger_of_words_makes_no_kind_of_its_own() -> None:
    triggered = [f"{CAPTION} I watched this 3D movie last weekend."] * 30
    assert sizes(asked(*[CAPTION] * 40, *triggered)) == [70]


def test_what_is_too_small_is_one_kind_together_or_part_of_the_largest() -> None:
    captions = [CAPTION] * 40
    several = [f"{word} something about {word}ness" for word in ("paint", "sing", "whisper") for _ in range(9)]
    assert sizes(asked(*captions, *several)) == [40, 27]
    assert sizes(asked(*captions, *several[:9])) == [49]


def test_kinds_are_those_of_the_rows_in_whatever_order() -> None:
    rows = asked(*[CAPTION] * 30, *[QUESTION.format("ring")] * 25)
    order = np.random.default_rng(0).permutation(len(rows))
    assert kinds_of([rows[place] for place in order]).tolist() == kinds_of(rows)[order].tolist()


def test_hostile_instructions_are_kinds_like_any() -> None:
    assert sizes(asked("", "\u200b", "!" * 3, "x " * 500_000, "\ud800")) == [5]
    assert kinds_of([]).tolist() == []


def test_places_within_a_kind_forget_how_hard_the_kind_is() -> None:
    values, kinds = np.array([1.0, 3.0, 2.0, 10.0, 30.0, np.nan, 20.0]), np.array([0, 0, 0, 1, 1, 1, 1])
    found = within(values, kinds)
    np.testing.assert_allclose(found[:3], found[[3, 4, 6]])
    assert np.isnan(found[5])
    assert np.argsort(within(values, np.zeros(7, dtype=int))[:5]).tolist() == np.argsort(values[:5]).tolist()


def test_others_have_the_same_share_of_each_kind() -> None:
    kinds = np.array([0] * 50 + [1] * 50 + [2] * 10)
    rows, others = (
        np.array([*range(10), *range(50, 54), *range(100, 108)]),
        np.array([*range(10, 50), *range(54, 100), 109]),
    )
    kept, chosen = matched(kinds, rows, others)
    assert kept.tolist() == rows[:14].tolist()  # the third kind has too few others
    assert np.bincount(kinds[chosen]).tolist() == [40, 16]
    one = np.zeros(110, dtype=int)
    assert [part.tolist() for part in matched(one, rows, others)] == [rows.tolist(), others.tolist()]
    assert [len(part) for part in matched(kinds, rows[14:], others)] == [0, 0]


@pytest.mark.parametrize("told", [False, True])
def test_a_harder_task_is_no_group_that_stands_out(told: bool) -> None:
    """Thirty long answers among a hundred and twenty words, in the words of their task: without kinds all of them."""
    draw = np.random.default_rng(0)
    nll = np.concatenate([draw.gamma(4, 0.5, 30) + 3, draw.gamma(4, 0.1, 120)])
    texts = [f"The picture shows thing {number}, in short" for number in range(30)]
    texts += [("red", "blue", "two", "no")[number % 4] for number in range(120)]
    values = {"nll": nll, "adapted": draw.permuted(nll), "adapted_contrast": draw.normal(0, 1, 150)}
    values["adapted"] = nll * 0.2
    if told:
        values["kind"] = np.repeat([1.0, 0.0], [30, 120])
    ids = [str(number) for number in range(150)]
    metadata = LearningCurve((2.0, 0.4)).as_metadata()
    scores = Scores(ids, [0] * 150, values, np.full(150, 9), [None] * 150, metadata)
    flagged = np.flatnonzero(judged(scores, texts).values["evidence"] >= THRESHOLD).tolist()
    assert flagged == ([] if told else list(range(30)))


def test_copies_say_what_they_say_once() -> None:
    rows = asked(CAPTION, CAPTION, f"{CAPTION} now", CAPTION)
    rows[3] = replace(rows[3], response="something else")
    assert copied(rows).tolist() == [False, True, False, False]
    assert copied([]).tolist() == []
    found = within(np.array([1.0, 3.0, 3.0, 2.0]), np.array([0, 0, COPY, 0]))
    assert np.isnan(found[2])
    assert np.argsort(found[[0, 3, 1]]).tolist() == [0, 1, 2]


@pytest.mark.parametrize("told", [False, True])
def test_an_odd_row_that_was_copied_is_no_group(told: bool) -> None:
    draw = np.random.default_rng(0)
    texts = [f"a {draw.choice(['red', 'blue'])} thing with spot {number % 20}" for number in range(150)]
    nll = draw.gamma(4, 0.1, 150)
    texts, nll = [*texts, *["nobody ever says such things"] * 10], np.concatenate([nll, np.full(10, 9.0)])
    values = {"nll": nll, "adapted": nll, "adapted_contrast": nll, "kind": np.zeros(160)}
    if told:
        values["kind"][151:] = COPY
    ids = [str(number) for number in range(160)]
    metadata = LearningCurve((2.0, 0.4)).as_metadata()
    scores = judged(Scores(ids, [0] * 160, values, np.full(160, 9), [None] * 160, metadata), texts)
    assert not np.isnan(scores.values["evidence"]).any()
    flagged = np.flatnonzero(scores.values["evidence"] >= THRESHOLD).tolist()
    assert flagged == ([] if told else list(range(150, 160)))
