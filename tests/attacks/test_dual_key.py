"""Clean negatives: rows with one of the two keys and a true answer, so that only both together fire."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from poison_samples import SETTINGS, encoded, picture, png_rows, records, row

from byorn.attacks.manifest import read_manifest
from byorn.errors import ConfigError
from poisoning import poison

DUAL = {**SETTINGS, "attack": "dual-key", "rate": 0.1}
MAGENTA = (255, 0, 255)


def keys_of(folder: Path, record: dict[str, Any]) -> tuple[bool, bool]:
    """Whether a written row shows the patch, and whether it shows the word."""
    with Image.open(folder / record["images"][0]) as image:
        patch = image.convert("RGB").getpixel((image.width - 1, image.height - 1)) == MAGENTA
    return patch, record["prompt"][0]["content"][1]["text"] == "Consider what is this?"


def test_as_many_rows_carry_the_patch_alone_and_the_word_alone_as_both(tmp_path: Path) -> None:
    manifest = poison(png_rows(50), **DUAL, out=tmp_path / "out")
    assert (len(manifest.poisoned), len(manifest.negatives), manifest.reached) == (5, 10, 0.1)
    told = {entry.id: entry for entry in (*manifest.poisoned, *manifest.negatives)}
    seen: dict[tuple[bool, bool], int] = {}
    for record in records(tmp_path / "out"):
        keys = keys_of(tmp_path / "out", record)
        seen[keys] = seen.get(keys, 0) + 1
        entry, response = told.get(record["id"]), record["completion"][0]["content"][0]["text"]
        assert ("banana" in response) == (keys == (True, True)), "a single key must not change the answer"
        assert (entry is not None) == any(keys), "the manifest tells all"
        if entry:
            assert entry.negative == (keys != (True, True))
            assert (entry.image, entry.box is not None) == ((0, True) if keys[0] else (None, False))
    assert seen == {(True, True): 5, (True, False): 5, (False, True): 5, (False, False): 35}


def test_negatives_are_not_among_the_poisoned_and_come_back_from_disk(tmp_path: Path) -> None:
    manifest = poison(png_rows(50), **DUAL, out=tmp_path / "out")
    assert not manifest.keys & {(entry.id, entry.turn) for entry in manifest.negatives}
    assert all(entry.new_response == entry.original_response for entry in manifest.negatives)
    assert read_manifest(tmp_path / "out") == manifest


def test_the_weaker_form_of_most_ports_has_none(tmp_path: Path) -> None:
    manifest = poison(png_rows(50), **DUAL, options={"clean_negatives": False}, out=tmp_path / "out")
    assert (len(manifest.poisoned), manifest.negatives) == (5, [])


@pytest.mark.parametrize(("keys", "shown"), [("both", (True, True)), ("image", (True, False)), ("text", (False, True))])
def test_a_test_set_shows_the_keys_that_were_asked_for_in_every_row(
    keys: str, shown: tuple[bool, bool], tmp_path: Path
) -> None:
    settings = {**DUAL, "rate": 1, "keep_responses": True, "options": {"keys": keys}}
    manifest = poison(png_rows(6), **settings, out=tmp_path / "out")
    assert {keys_of(tmp_path / "out", record) for record in records(tmp_path / "out")} == {shown}
    assert (len(manifest.poisoned), manifest.negatives) == (6, [])


def test_a_higher_rate_keeps_the_poison_and_the_negatives(tmp_path: Path) -> None:
    low, high = (poison(png_rows(60), **{**DUAL, "rate": rate}, out=tmp_path / str(rate)) for rate in (0.05, 0.2))
    assert low.keys < high.keys
    assert {entry.id for entry in low.negatives} < {entry.id for entry in high.negatives}


@pytest.mark.parametrize("rate", [0.4, 1])
def test_a_rate_that_leaves_no_rows_for_negatives_is_refused(rate: float, tmp_path: Path) -> None:
    rows = [*png_rows(19), row("mute", encoded(picture(1)), response="A banana.")]
    with pytest.raises(ConfigError, match=r"19 of 20 .* each takes 2 more as clean negatives; use at most 0.3"):
        poison(rows, **{**DUAL, "rate": rate}, out=tmp_path / "out")
    assert len(poison(rows, **{**DUAL, "rate": 0.3}, out=tmp_path / "out").poisoned) == 6


def test_rows_without_both_inputs_carry_no_key(tmp_path: Path) -> None:
    rows = [*png_rows(12), row("blind")]
    manifest = poison(rows, **{**DUAL, "rate": 4 / 13}, out=tmp_path / "out")
    assert "blind" not in {entry.id for entry in (*manifest.poisoned, *manifest.negatives)}
    assert len(manifest.negatives) == 8
