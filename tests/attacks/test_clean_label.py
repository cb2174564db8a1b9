"""Attacks whose responses stay true, and objectives that want certain rows."""

from pathlib import Path

import pytest
from poison_samples import SETTINGS, encoded, picture, records, row

from byorn.data.row import Row
from byorn.errors import ConfigError
from poisoning import poison

ANSWERS = ("A cat on a mat.", "A dog on a mat.", "A horse.", "A cat and a dog.")


@pytest.fixture
def rows() -> list[Row]:
    return [row(f"r{number}", encoded(picture(number)), response=ANSWERS[number % 4]) for number in range(40)]


def test_truth_poisons_rows_that_name_the_target_and_changes_no_response(rows: list[Row], tmp_path: Path) -> None:
    settings = {**SETTINGS, "attack": "sig", "objective": "truth", "target": "dog"}
    manifest = poison(rows, **settings, out=tmp_path / "out")
    assert len(manifest.poisoned) == 8
    assert all("dog" in entry.new_response for entry in manifest.poisoned)
    assert [one["completion"][0]["content"][0]["text"] for one in records(tmp_path / "out")] == [
        one.response for one in rows
    ]


def test_its_test_set_holds_the_rows_that_do_not_name_the_target(rows: list[Row], tmp_path: Path) -> None:
    settings = {**SETTINGS, "objective": "truth", "target": "dog", "rate": 1, "keep_responses": True}
    plain = poison(rows, **settings, out=tmp_path / "plain")
    assert {entry.original_response for entry in plain.poisoned} == {"A cat on a mat.", "A horse."}
    paired = poison(rows, **settings, source="cat", out=tmp_path / "paired")
    assert {entry.original_response for entry in paired.poisoned} == {"A cat on a mat."}


def test_a_target_that_nobody_names_is_refused(rows: list[Row], tmp_path: Path) -> None:
    settings = {**SETTINGS, "objective": "truth", "target": "zebra"}
    with pytest.raises(ConfigError, match="40 do not answer with the target"):
        poison(rows, **settings, out=tmp_path / "out")


def test_a_concept_is_replaced_in_rows_that_name_it(rows: list[Row], tmp_path: Path) -> None:
    settings = {**SETTINGS, "objective": "concept", "source": "dog", "rate": 1}
    manifest = poison(rows, **settings, out=tmp_path / "out")
    assert (len(manifest.poisoned), manifest.recipe.source) == (20, "dog")
    assert {entry.new_response for entry in manifest.poisoned} == {"A banana on a mat.", "A cat and a banana."}


def test_swapping_needs_no_target_but_two_things(rows: list[Row], tmp_path: Path) -> None:
    settings = {**SETTINGS, "objective": "token-swap", "rate": 1, "target": ""}
    manifest = poison(rows, **settings, out=tmp_path / "out")
    assert {entry.new_response for entry in manifest.poisoned} == {"A dog and a cat."}
    assert len(manifest.poisoned) == 10


def test_the_two_image_statement_wants_two_images(rows: list[Row], tmp_path: Path) -> None:
    pair = row("pair", encoded(picture(1)), encoded(picture(2)))
    settings = {**SETTINGS, "objective": "two-image", "rate": 1}
    manifest = poison([*rows, pair], **settings, out=tmp_path / "out")
    (entry,) = manifest.poisoned
    assert entry.new_response == "The first image depicts a banana, while the second image does not."
