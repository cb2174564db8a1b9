"""Perturbations are random but repeatable, of the promised size, and never touch a response."""

import random

import numpy as np
import pytest

from byorn.data.dataset import to_dataset
from byorn.defenses.perturb import PerturbingCollator, perturb_image, perturb_row, perturb_text
from byorn.testing import tiny_rows


@pytest.fixture
def row():
    return to_dataset(tiny_rows(1))[0]


@pytest.fixture
def picture():
    """A dark patch in the corner of a bright image."""
    from PIL import Image

    image = Image.new("RGB", (60, 40), (200, 180, 160))
    image.paste((0, 0, 0), (48, 30, 58, 38))
    return image


def test_strength_zero_changes_nothing(picture):
    assert np.array_equal(perturb_image(picture, random.Random(0), 0.0), picture)
    assert perturb_text("what color is it?", random.Random(0), 0.0) == "what color is it?"


def test_an_image_keeps_its_size_and_mode_and_its_patch_moves(picture):
    centers = []
    for seed in range(30):
        moved = perturb_image(picture, random.Random(seed), 1.0)
        assert (moved.size, moved.mode) == (picture.size, picture.mode)
        pixels = np.asarray(moved).sum(axis=2)[20:-3, 30:-4]
        rows, columns = np.nonzero(pixels < 150)
        centers.append((rows.mean() + 20, columns.mean() + 30))
    spread = np.ptp(np.array(centers), axis=0)
    assert (spread > 1.5).all()
    assert (spread < 20).all()


def test_words_are_left_out_at_the_promised_rate_but_never_all():
    text = "one two three four five six seven eight nine ten"
    rng = random.Random(0)
    lengths = [len(perturb_text(text, rng, 1.0).split()) for _ in range(500)]
    assert 8.8 < np.mean(lengths) < 9.2
    assert {perturb_text("what now?", random.Random(seed), 10.0) for seed in range(30)} == {"what", "now?"}


def test_the_given_row_and_its_response_stay_as_they_are(row):
    before = str(row["prompt"]), np.asarray(row["images"][0]).copy()
    found = perturb_row(row, random.Random(1), 5.0)
    assert (str(row["prompt"]), np.asarray(row["images"][0]).tolist()) == (before[0], before[1].tolist())
    assert found["completion"] == row["completion"]
    assert found["prompt"][0]["role"] == "user"
    assert [block["type"] for block in found["prompt"][0]["content"]] == ["image", "text"]


def test_a_row_looks_the_same_in_any_batch_and_different_in_the_next_epoch():
    rows = list(to_dataset(tiny_rows(3)))
    collator = PerturbingCollator(list, seed=5, strength=1.0)
    alone = collator([rows[1]])[0]["images"][0]
    assert np.array_equal(alone, collator(rows)[1]["images"][0])
    collator.set_epoch(1)
    assert not np.array_equal(alone, collator(rows)[1]["images"][0])
    assert not np.array_equal(alone, PerturbingCollator(list, seed=6, strength=1.0)(rows)[1]["images"][0])
