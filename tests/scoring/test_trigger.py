"""Rows whose responses have nothing in common are found by the trigger in their images."""

from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO

import numpy as np
from PIL import Image

from byorn.data.row import ImageFile, Row, user_message
from byorn.patterns.thumbnails import Thumbnails
from byorn.scoring.evidence import LEVEL
from byorn.scoring.spurious.scored_rows import ScoredRows
from byorn.scoring.spurious.trigger import triggers

COUNT = 200
PLANTED = list(range(0, 80, 4))


def rows_with(patched: Sequence[int] = (), left: int = 0, dark: Sequence[int] = ()) -> list[Row]:
    """Noise around a color, with a checkered patch in some, and some darker than others."""
    draw = np.random.default_rng(0)
    made = []
    for number in range(COUNT):
        pixels = np.clip(draw.integers(40, 216, 3) + draw.normal(0, 20, (32, 32, 3)), 0, 255)
        if number in dark:
            pixels *= draw.uniform(0.2, 1.0)
        if number in patched:
            pixels[24:, left : left + 8] = 255 * (np.indices((8, 8)).sum(axis=0) % 2)[:, :, None]
        stream = BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(stream, "PNG")
        made.append(Row(str(number), 0, [], f"thing {number}", [ImageFile(data=stream.getvalue())]))
    return made


def contrasts(*groups: Sequence[int], by: float = 3.0) -> np.ndarray:
    """Of rows of which some are less plausible, by so many standard deviations, but not beyond all others."""
    values = np.random.default_rng(1).normal(0, 1, COUNT)
    for group in groups:
        values[list(group)] += by
    return values


def found(rows: list[Row], contrast: np.ndarray) -> list[int]:
    """The rows that are found where the likelihoods of all responses are alike."""
    nll = np.random.default_rng(2).normal(2, 0.1, len(rows))
    column = triggers(ScoredRows(rows=rows, nll=nll, contrast=contrast), LEVEL)
    assert ((column == 0) | (column > -np.log10(LEVEL))).all()
    return np.flatnonzero(column).tolist()


def test_rows_with_a_patch_whose_responses_are_hard_to_believe_are_found_all_and_alone() -> None:
    assert found(rows_with(PLANTED), contrasts(PLANTED)) == PLANTED


def test_a_watermark_of_plausible_rows_is_none() -> None:
    assert found(rows_with(PLANTED), contrasts()) == []


def test_hard_rows_without_a_pattern_have_none() -> None:
    assert found(rows_with(), contrasts(PLANTED)) == []


def test_a_kind_of_pictures_that_the_model_reads_badly_leaves_no_gap() -> None:
    assert found(rows_with(dark=range(60)), contrasts(range(60))) == []


def test_two_attackers_are_both_found() -> None:
    others = list(range(1, 81, 4))
    both = rows_with(PLANTED)
    for number in others:
        both[number] = rows_with(others, left=20)[number]
    assert found(both, contrasts(PLANTED, others)) == sorted(PLANTED + others)


def test_pictures_of_another_task_are_no_pattern() -> None:
    """All pictures of a task have a patch, and a half of them are hard: as many as of the other task."""
    asked = ["List the goods that are on offer." if number < 80 else "Describe the image." for number in range(COUNT)]
    rows = [replace(row, prompt=[user_message(text, 1)]) for row, text in zip(rows_with(range(80)), asked, strict=True)]
    hard = [*range(0, 80, 2), *range(80, 200, 2)]
    assert found(rows, contrasts(hard)) == []


def test_without_images_or_scores_there_is_nothing_to_find() -> None:
    assert found(rows_with(PLANTED), np.full(COUNT, np.nan)) == []
    assert found(rows_with(PLANTED), np.full(COUNT, -np.inf)) == []
    broken = [Row(row.id, 0, [], row.response, [ImageFile(data=b"GIF89a")]) for row in rows_with()]
    assert found(broken, contrasts(PLANTED)) == []
    assert found([], np.zeros(0)) == []


def test_an_album_that_passes_keeps_what_it_had_and_no_more() -> None:
    thumbnails = Thumbnails(rows_with())
    kept = thumbnails.of(np.array([3]))
    seen = [numbers for numbers, _ in thumbnails.passing(np.arange(10), size=4)]
    assert np.concatenate(seen).tolist() == list(range(10))
    assert set(thumbnails._kept) == {3}
    assert np.array_equal(thumbnails.of(np.array([3])).pixels, kept.pixels)
