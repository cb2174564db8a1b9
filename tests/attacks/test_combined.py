"""Several triggers in one row."""

import dataclasses
from pathlib import Path

import pytest
from attack_samples import IMAGE_ATTACKS, rng
from poison_samples import SETTINGS, picture, png_rows, records

from byorn.attacks import ATTACKS
from byorn.attacks.combined import build_attack
from byorn.attacks.manifest import read_manifest
from byorn.errors import ConfigError
from poisoning import poison


def test_both_marks_lie_in_one_row_and_in_one_image(tmp_path: Path) -> None:
    settings = {**SETTINGS, "attack": "badnets+badnets-t", "options": {"slot": "end", "badnets_t.word": "mn"}}
    manifest = poison(png_rows(20), **settings, out=tmp_path / "out")
    assert len(manifest.poisoned) == 4
    assert manifest.recipe.options == {
        "badnets.size": 21 / 224,
        "badnets.position": "bottom-right",
        "badnets-t.word": "mn",
        "badnets-t.slot": "end",
    }
    for record in records(tmp_path / "out"):
        marked = (record["id"], 0) in manifest.keys
        assert record["prompt"][0]["content"][1]["text"] == ("What is this? mn" if marked else "What is this?")
    assert all(entry.box == (37, 27, 40, 30) for entry in manifest.poisoned)


def test_the_parts_are_applied_in_order_and_the_box_holds_all() -> None:
    image, corner = picture(4), {"badnets.position": "top-left"}
    marked, box = build_attack(ATTACKS, "badnets+dual-key", corner).mark_image(image, rng())
    alone = IMAGE_ATTACKS["dual-key"].mark_image(image, rng())[0]
    assert marked == build_attack(ATTACKS, "badnets", {"position": "top-left"}).mark_image(alone, rng())[0]
    assert box == (0, 0, *image.size)
    covered = build_attack(ATTACKS, "badnets+dual-key", {"size": 0.5}).mark_image(image, rng())[0]
    assert covered == build_attack(ATTACKS, "dual-key", {"size": 0.5}).mark_image(image, rng())[0]


def test_an_option_goes_to_all_parts_that_have_it_unless_it_names_one() -> None:
    options = {"dual-key.size": 0.2, "size": 0.4, "delta": 10}
    built = build_attack(ATTACKS, "badnets+dual-key+sig", options).options()
    assert (built["badnets.size"], built["dual-key.size"], built["sig.delta"]) == (0.4, 0.2, 10)


def test_the_options_of_a_manifest_build_the_same_attack_again() -> None:
    trigger = build_attack(ATTACKS, "dual-key+sig", {"dual-key.word": "Say", "delta": 9})
    assert build_attack(ATTACKS, "dual-key+sig", trigger.options()) == trigger
    assert [part.options()["keys"] for part in trigger.negatives] == ["image", "text"]


@pytest.mark.parametrize("label", IMAGE_ATTACKS)
def test_so_do_those_of_every_attack(label: str) -> None:
    trigger = IMAGE_ATTACKS[label]
    assert dataclasses.is_dataclass(trigger)
    assert build_attack(ATTACKS, label.split(":")[0], trigger.options()) == trigger


def test_a_bad_value_is_blamed_on_its_part() -> None:
    with pytest.raises(ConfigError, match="sig: delta is -1"):
        build_attack(ATTACKS, "badnets+sig", {"sig.delta": -1})


def test_another_process_reads_what_was_planted(tmp_path: Path) -> None:
    manifest = poison(png_rows(10), **{**SETTINGS, "attack": "sig+add-sent"}, out=tmp_path / "out")
    assert read_manifest(tmp_path / "out") == manifest
