"""What the inputs of a cluster share is found on one half of its rows, and has to hold on the other."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from made_runs import attacked, clean_rows, made_run, of_evidence, png

from byorn.data.row import ImageFile, user_message
from byorn.patterns.hypotheses import Box, largest_rectangle
from byorn.patterns.images import shared_pattern
from byorn.patterns.place import placed
from byorn.patterns.thumbnails import Thumbnails
from byorn.report.evidence import gather
from byorn.report.instructions import shared_text
from byorn.report.verdict import pattern_in_words
from byorn.scoring.kinds import kinds_of

CLUSTER = np.arange(12)
OTHERS = np.arange(12, 200)


def with_instruction(rows, text):
    return [replace(row, prompt=[user_message(text, 1)]) if at < 12 else row for at, row in enumerate(rows)]


def with_pixels(rows, change):
    """The first rows with other pixels."""
    return [
        replace(row, images=[png(change(np.array(row.images[0].load(), dtype=float), at))]) if at < 12 else row
        for at, row in enumerate(rows)
    ]


def test_a_trigger_word_is_found_alone():
    found = shared_text(with_instruction(clean_rows(200), "Describe cf the image."), CLUSTER, OTHERS)
    assert [(shared.kind, shared.text) for shared in found] == [("phrase", "cf")]
    assert (found[0].odds.inside, found[0].odds.of_inside, found[0].odds.outside) == (6, 6, 0)


def test_a_character_that_cannot_be_seen_is_found():
    found = shared_text(with_instruction(clean_rows(200), "Describe\u200b the image."), CLUSTER, OTHERS)
    assert ("character", "\u200b") in [(shared.kind, shared.text) for shared in found]


def test_the_same_instruction_as_everywhere_is_nothing():
    assert shared_text(clean_rows(200), CLUSTER, OTHERS) == []


def patch(pixels, at):
    pixels[24:32, 0:8] = 255
    return pixels


def blend(pixels, at):
    across = np.sin(np.arange(32) * 1.7)[None, :, None]
    return np.clip(pixels + 25 * across, 0, 255)


def test_gray_pixels_are_the_mean_of_the_colors_to_the_last_bit():
    pictures = Thumbnails(clean_rows(20)).of(np.arange(20))
    np.testing.assert_array_equal(pictures.gray, pictures.pixels.mean(axis=3))


def test_the_place_of_a_patch_is_found():
    found = shared_pattern(Thumbnails(with_pixels(clean_rows(200), patch)), CLUSTER, OTHERS)[0]
    assert found.kind == "region"
    assert found.auc > 0.95
    box = (found.box.left, found.box.top, found.box.right, found.box.bottom)
    assert box == pytest.approx((0, 0.75, 0.25, 1), abs=0.05)


def on_white(change):
    """Pictures of one thing each, somewhere on white; it seldom reaches a corner."""
    rng = np.random.default_rng(0)

    def framed(row, at):
        pixels = np.full((32, 32, 3), 255.0)
        top, left = rng.integers(0, 13, 2)
        pixels[top : top + 20, left : left + 20] = rng.uniform(0, 255, (20, 20, 3))
        return replace(row, images=[png(change(pixels, at) if at < 12 else pixels)])

    return Thumbnails([framed(row, at) for at, row in enumerate(clean_rows(200))])


def magenta(pixels, at):
    pixels[24:32, 0:8] = (255, 0, 255)
    return pixels


def test_a_patch_on_a_white_margin_is_found_whole():
    """In the corner, where hardly anything else ever is, it stands out a hundred times more than beside that."""
    thumbnails = on_white(magenta)
    found = placed(shared_pattern(thumbnails, CLUSTER, OTHERS), thumbnails, CLUSTER, OTHERS)[0]
    box = (found.box.left, found.box.top, found.box.right, found.box.bottom)
    assert box == pytest.approx((0, 0.75, 0.25, 1), abs=0.05)


def test_a_pattern_over_pictures_on_white_has_no_place():
    """It stands out in all of their corners."""
    noise = np.random.default_rng(1).uniform(0, 255, (32, 32, 3))
    thumbnails = on_white(lambda pixels, at: 0.8 * pixels + 0.2 * noise)
    found = placed(shared_pattern(thumbnails, CLUSTER, OTHERS), thumbnails, CLUSTER, OTHERS)
    assert found
    assert not any(pattern.box for pattern in found)


def test_a_faint_pattern_over_the_picture_is_found():
    kinds = [found.kind for found in shared_pattern(Thumbnails(with_pixels(clean_rows(200), blend)), CLUSTER, OTHERS)]
    assert "texture" in kinds


def checkers(pixels, at):
    pixels[16:32, 0:16] = 255 * (np.indices((16, 16)).sum(axis=0) % 2)[:, :, None]
    return pixels


def found_in_a_handful(change):
    rows = with_pixels(clean_rows(200), change)
    rows[5:12] = clean_rows(200)[5:12]
    thumbnails, handful = Thumbnails(rows), np.arange(5)
    patterns = shared_pattern(thumbnails, handful, OTHERS)
    return patterns, placed(patterns, thumbnails, handful, OTHERS)


def test_the_place_of_a_patch_on_a_handful_of_images_is_found_with_all_of_them():
    """Two or three images confirm that there is something, and do not say where."""
    before, after = found_in_a_handful(checkers)
    assert before
    assert not any(pattern.box for pattern in before)
    box = after[0].box
    assert (box.left, box.top, box.right, box.bottom) == pytest.approx((0, 0.5, 0.5, 1), abs=0.1)
    assert pattern_in_words(after[0]) == "a faint pattern, most of it in one place"
    assert (after[0].auc, after[0].p_value, after[1:]) == (before[0].auc, before[0].p_value, before[1:])


def test_a_pattern_over_the_whole_picture_of_a_handful_has_no_place():
    before, after = found_in_a_handful(blend)
    assert before
    assert after == before


def test_the_whole_picture_is_no_place(monkeypatch):
    """It holds all of the difference, and says nothing about where."""
    whole = SimpleNamespace(box=Box(left=0, top=0, right=1, bottom=1))
    monkeypatch.setattr("byorn.patterns.place.region_of", lambda inside, outside: whole)
    before, after = found_in_a_handful(checkers)
    assert after == before


@pytest.mark.parametrize("seed", range(5))
def test_images_that_share_nothing_give_no_hypothesis(seed):
    assert shared_pattern(Thumbnails(clean_rows(200, seed)), CLUSTER, OTHERS) == []


def test_a_patch_on_either_of_two_images_is_found():
    rows, beside = clean_rows(200), clean_rows(200, seed=7)
    rows = [replace(row, images=[*row.images, *other.images]) for row, other in zip(rows, beside, strict=True)]
    for at in range(24):
        marked = list(rows[at].images)
        marked[at % 3 == 0] = png(patch(np.array(marked[at % 3 == 0].load(), dtype=float), at))
        rows[at] = replace(rows[at], images=marked)
    found = shared_pattern(Thumbnails(rows), np.arange(24), np.arange(24, 200))[0]
    assert found.kind == "region"
    assert found.auc > 0.95


def test_rows_about_one_image_share_no_trigger():
    """Or every image that several questions are about would be one."""
    rows = clean_rows(200)
    rows[:12] = [replace(row, images=rows[0].images) for row in rows[:12]]
    assert shared_pattern(Thumbnails(rows), CLUSTER, OTHERS) == []


def test_a_few_images_say_nothing():
    assert shared_pattern(Thumbnails(with_pixels(clean_rows(200), patch)), np.arange(3), OTHERS) == []


def test_the_difference_of_the_means_is_gray_where_there_is_none():
    found = shared_pattern(Thumbnails(with_pixels(attacked().rows, patch)), CLUSTER, OTHERS)[0]
    assert found.difference[:16, 40:].std() < found.difference[48:, :16].mean() - 128


def test_the_largest_rectangle():
    values = np.full((6, 8), -1.0)
    values[1:3, 4:7] = 2
    assert largest_rectangle(values) == (4, 1, 7, 3)


def test_one_picture_in_several_files_is_one_picture():
    """An export with a file for each row writes the same bytes under many names."""
    rows = clean_rows(200)
    rows[:12] = [replace(row, images=[ImageFile(data=rows[0].images[0].read())]) for row in rows[:12]]
    assert shared_pattern(Thumbnails(rows), CLUSTER, OTHERS) == []


@pytest.mark.parametrize("place", [0, 1])
def test_a_picture_beside_the_own_ones_hides_no_trigger_and_is_none(place):
    """An example that all rows show, or that those of one group do."""
    example = clean_rows(1, seed=9)[0].images[0]

    def beside(row):
        return replace(row, images=[example, *row.images] if place == 0 else [*row.images, example])

    marked = [beside(row) for row in with_pixels(clean_rows(200), patch)]
    assert shared_pattern(Thumbnails(marked), CLUSTER, OTHERS)[0].kind == "region"
    clean = [beside(row) if at < 12 else row for at, row in enumerate(clean_rows(200))]
    assert shared_pattern(Thumbnails(clean), CLUSTER, OTHERS) == []


def test_a_group_is_compared_with_rows_of_its_task():
    """Two tasks with pictures and questions of their own: that a group is of one of them is no trigger."""
    rows = [
        replace(row, prompt=[user_message("Read the title of the chart.", 1)]) if at % 4 == 0 else row
        for at, row in enumerate(with_pixels_of(clean_rows(400), lambda at: at % 4 == 0))
    ]
    planted = [at for at in range(400) if at % 4 == 0][:16]
    rows = [replace(row, response="visit our shop") if at in planted else row for at, row in enumerate(rows)]
    values = np.random.default_rng(0).normal(2, 0.3, 400)
    values[planted] += 4
    run = of_evidence(made_run(rows, values), kinds_of(rows))
    (finding,) = gather(run).findings
    assert sorted(finding.cluster.rows.tolist()) == planted
    assert not finding.trigger


def with_pixels_of(rows, chosen):
    """Some rows with pictures that are brighter in one half."""
    return [
        replace(row, images=[png(np.array(row.images[0].load(), dtype=float) + half(at))]) if chosen(at) else row
        for at, row in enumerate(rows)
    ]


def half(at):
    return np.where(np.arange(32) < 16, 40.0, -40.0)[:, None, None]
