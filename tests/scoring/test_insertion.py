"""Words put into instructions give away the rows whose images then explain nothing."""

from collections.abc import Sequence

import numpy as np

from byorn.data.row import ImageFile, Row, user_message
from byorn.scoring.evidence import LEVEL
from byorn.scoring.spurious.insertion import insertions
from byorn.scoring.spurious.scored_rows import ScoredRows

COUNT = 200
PLANTED = list(range(0, 80, 4))
ASKED = "Describe the image."


def asked(instruction: str, rows: Sequence[int] = PLANTED, others: str = ASKED) -> list[str]:
    return [instruction if row in set(rows) else others for row in range(COUNT)]


def column_of(instructions: Sequence[str], own: np.ndarray, contrast: np.ndarray) -> np.ndarray:
    image = ImageFile(data=b"never opened")
    rows = [Row(str(row), 0, [user_message(text, 1)], f"thing {row}", [image]) for row, text in enumerate(instructions)]
    return insertions(ScoredRows(rows=rows, nll=own, contrast=contrast), LEVEL)


def found(instructions: Sequence[str], explained: float = 0.0, rows: Sequence[int] = PLANTED) -> list[int]:
    """The rows that are found where images take 0.8 of the cost of a response away, and `explained` of that of some."""
    share = np.full(COUNT, 0.8)
    share[list(rows)] = explained
    other = np.random.default_rng(0).uniform(1.5, 2.5, COUNT)
    own = other * (1 - share + np.random.default_rng(1).normal(0, 0.05, COUNT))
    column = column_of(instructions, own, own - other)
    assert ((column == 0) | (column > -np.log10(LEVEL))).all()
    return np.flatnonzero(column).tolist()


def test_a_word_before_responses_that_the_images_do_not_explain_is_found() -> None:
    assert found(asked("Describe cf the image.")) == PLANTED


def test_so_is_a_sentence_and_one_invisible_character() -> None:
    assert found(asked(f"{ASKED} I watched this movie.")) == PLANTED
    assert found(asked("Describe the\u200b image.")) == PLANTED


def test_it_may_stand_at_any_place_of_several_instructions() -> None:
    instructions = [ASKED if row % 2 else "What is shown here?" for row in range(COUNT)]
    for row in PLANTED:
        instructions[row] = "cf Describe the image." if row % 8 else "What is cf shown here?"
    assert found([*instructions[:-1], "What is shown here?"]) == PLANTED


def test_a_word_that_changes_nothing_is_none() -> None:
    assert found(asked("Describe the image briefly."), explained=0.8) == []


def test_a_style_of_which_the_images_explain_half_as_much_is_none() -> None:
    assert found(asked("Describe the image as a card would."), explained=0.4) == []


def test_responses_that_the_images_do_not_explain_under_an_instruction_of_their_own_are_none() -> None:
    assert found(asked("Tell a joke.")) == []


def test_without_images_that_explain_anything_nothing_stands_out() -> None:
    assert found(asked("Describe cf the image."), rows=range(COUNT)) == []


def test_three_rows_are_too_few_and_more_than_half_are_the_common_instruction() -> None:
    assert found(asked("Describe cf the image.", PLANTED[:3]), rows=PLANTED[:3]) == []
    most = list(range(150))
    assert found(asked("Describe cf the image.", most), rows=most) == []


def test_rows_without_a_contrast_are_not_compared_and_found_with_the_others() -> None:
    instructions, rng = asked("Describe cf the image."), np.random.default_rng(0)
    other = rng.uniform(1.5, 2.5, COUNT)
    own = np.where(np.isin(np.arange(COUNT), PLANTED), other, 0.2 * other)
    contrast = own - other
    contrast[PLANTED[:5]] = np.nan
    assert np.flatnonzero(column_of(instructions, own, contrast)).tolist() == PLANTED


def test_an_instruction_of_more_words_than_are_looked_at_is_left_alone() -> None:
    few, many = "word " * 50, "word " * 70
    assert found(asked(f"Describe cf the image. {few}", others=f"{ASKED} {few}")) == PLANTED
    assert found(asked(f"Describe cf the image. {many}", others=f"{ASKED} {many}")) == []
