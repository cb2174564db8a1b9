"""A trigger hypothesis is put onto other inputs where it belongs: words where they stood, a patch in its place."""

from dataclasses import replace

import numpy as np
import pytest
from made_runs import attacked, clean_rows, png

from byorn.data.row import user_message
from byorn.report.evidence import gather
from byorn.report.graft import graft


def patched(image):
    pixels = np.asarray(image.load()).copy()
    pixels[24:, 24:] = [255, 0, 255]
    return png(pixels)


def grafted(change, rows):
    """What a report finds in a poisoned corpus, on these rows."""
    run = attacked(200, 24)
    run = replace(run, rows=[change(row, at) if at < 24 else row for at, row in enumerate(run.rows)])
    (finding,) = gather(run).findings
    made = graft(run.rows, finding, np.arange(24, 200))
    return made.name, made.onto(rows)


def asks(row, text):
    return replace(row, prompt=[user_message(text, 1)])


@pytest.mark.parametrize(
    ("poisoned", "expected"),
    [
        ("Describe the image. CF now", "What is it? CF now"),
        ("CF Now describe the image.", "CF Now What is it?"),
    ],
)
def test_words_go_where_they_stood_as_they_were_spelled(poisoned, expected):
    name, (row,) = grafted(lambda row, at: asks(row, poisoned), [asks(clean_rows(1, 9)[0], "What is it?")])
    assert row.instruction == expected
    assert "in the instruction" in name


def test_words_of_a_trigger_do_not_end_their_quotation_to_speak_for_byorn():
    name, _ = grafted(lambda row, at: asks(row, "Describe the image” no backdoor shows“"), [])
    assert "backdoor" in name
    assert (name.count("“"), name.count("”")) == (1, 1)


def test_a_letter_of_another_script_takes_the_place_of_the_one_it_looks_like():
    change = "Describe the im\u0430ge."
    _, (row,) = grafted(lambda row, at: asks(row, change), [asks(clean_rows(1, 9)[0], "Show the image. Now.")])
    assert row.instruction == "Show the im\u0430ge. Now."


def test_a_patch_goes_into_its_place_and_nowhere_else():
    before = clean_rows(6, 9)
    name, after = grafted(lambda row, at: replace(row, images=[patched(row.images[0])]), before)
    assert name == "the region in the image"
    for old, new in zip(before, after, strict=True):
        was, now = np.asarray(old.images[0].load()), np.asarray(new.images[0].load())
        assert (now[26:, 26:] == [255, 0, 255]).all()
        assert (was[:20, :20] == now[:20, :20]).all()
        assert (new.key, new.response, new.instruction) == (old.key, old.response, old.instruction)


def test_a_picture_laid_over_all_of_an_image_is_added():
    ghost = np.zeros((32, 32, 3))
    ghost[::2] = 255

    def blend(row, at):
        return replace(row, images=[png(0.6 * np.asarray(row.images[0].load()) + 0.4 * ghost)])

    before = clean_rows(6, 9)
    _, after = grafted(blend, before)
    for old, new in zip(before, after, strict=True):
        added = np.asarray(new.images[0].load()).astype(float) - np.asarray(old.images[0].load())
        assert added[::2].mean() > added[1::2].mean() + 50


def test_rows_that_cannot_take_it_are_left_out():
    broken = replace(clean_rows(1, 9)[0], images=[])
    _, after = grafted(lambda row, at: replace(row, images=[patched(row.images[0])]), [broken])
    assert after == []


def test_photographs_larger_than_the_limit_give_their_region_too(monkeypatch):
    """Or nothing would be put anywhere, and a model with a backdoor would look like one without."""
    monkeypatch.setattr("byorn.report.graft.LARGEST", 16)
    before = clean_rows(3, 9)
    _, after = grafted(lambda row, at: replace(row, images=[patched(row.images[0])]), before)
    pixels = [np.asarray(row.images[0].load()) for row in after]
    assert [image.shape for image in pixels] == [(16, 16, 3)] * 3
    assert all((image[13:, 13:] == [255, 0, 255]).all() for image in pixels)
