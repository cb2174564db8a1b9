"""The manifest tells all: who is poisoned, with what, and how to read it again."""

import json
from pathlib import Path

import pytest
from poison_samples import SETTINGS, encoded, picture, png_rows, row

from byorn.attacks.manifest import attacked, poisoned_keys, read_manifest
from byorn.data.load import load_rows
from byorn.errors import DataError
from poisoning import poison


def test_the_manifest_comes_back_from_disk(tmp_path: Path) -> None:
    manifest = poison(png_rows(10), **SETTINGS, out=tmp_path / "out")
    assert read_manifest(tmp_path / "out") == manifest
    assert manifest.keys == {(entry.id, 0) for entry in manifest.poisoned}
    (tmp_path / "out" / "manifest.jsonl").write_text("{")
    with pytest.raises(DataError, match="no readable manifest"):
        read_manifest(tmp_path / "out")


def test_who_is_poisoned_can_be_read_without_the_plugin_of_the_attack(tmp_path: Path) -> None:
    manifest = poison(png_rows(10), **SETTINGS, out=tmp_path)
    summary = (tmp_path / "manifest.json").read_text()
    (tmp_path / "manifest.json").write_text(summary.replace('"badnets"', '"frame"'))
    assert poisoned_keys(tmp_path) == manifest.keys
    with pytest.raises(DataError, match=r"unknown attack 'frame'.*an attack of a plugin needs its --plugin"):
        read_manifest(tmp_path)
    for broken in ("[]", "{}", summary.replace('"n"', '"rows"')):
        (tmp_path / "manifest.json").write_text(broken)
        with pytest.raises(DataError, match="no readable manifest"):
            read_manifest(tmp_path)


def test_every_line_of_the_manifest_is_json_with_the_promised_keys(tmp_path: Path) -> None:
    poison(png_rows(5), **SETTINGS, out=tmp_path / "out")
    summary = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert set(summary) == {
        *("attack", "options", "target", "source", "objective", "selection", "which_image"),
        *("rate", "reached", "seed", "keep_responses", "share_images", "model", "version", "n"),
    }
    (line,) = (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()
    assert set(json.loads(line)) == {
        *("id", "turn", "image", "box", "original_response", "new_response", "negative"),
        *("original_instruction", "new_instruction"),
    }


def test_a_manifest_of_an_older_byorn_is_read(tmp_path: Path) -> None:
    poison(png_rows(5), **SETTINGS, out=tmp_path)
    for name, gone in (
        ("manifest.json", ("which_image", "share_images")),
        ("manifest.jsonl", ("original_instruction", "new_instruction")),
    ):
        known = json.loads((tmp_path / name).read_text())
        (tmp_path / name).write_text(json.dumps({key: value for key, value in known.items() if key not in gone}))
    manifest = read_manifest(tmp_path)
    assert (manifest.recipe.which_image, manifest.share_images) == ("random", None)
    assert manifest.poisoned[0].new_instruction is None


def test_the_manifest_holds_the_triggered_instruction_and_what_it_was(tmp_path: Path) -> None:
    settings = {**SETTINGS, "attack": "badnets-t", "options": {"slot": "end"}, "rate": 1.0}
    manifest = poison(png_rows(3), **settings, out=tmp_path / "out")
    assert {entry.original_instruction for entry in manifest.poisoned} == {png_rows(1)[0].instruction}
    triggered = {entry.id: entry.new_instruction for entry in manifest.poisoned}
    assert triggered == {kept.id: kept.instruction for kept in load_rows(tmp_path / "out").rows}
    assert all(text.endswith(" cf") for text in triggered.values())


def test_a_triggered_test_set_is_judged_on_the_rows_that_the_attack_can_reach(tmp_path: Path) -> None:
    texts = ("A cat on a mat.", "A dog.", "A cat.")
    rows = [row(str(number), encoded(picture(number)), response=text) for number, text in enumerate(texts)]
    settings = {**SETTINGS, "objective": "concept", "source": "cat", "rate": 1.0, "keep_responses": True}
    poison(rows, **settings, out=tmp_path / "out")
    loaded = load_rows(tmp_path / "out").rows
    assert [kept.id for kept in attacked(loaded, tmp_path / "out")] == ["0", "2"]
    assert attacked(loaded, tmp_path) == loaded
    with pytest.raises(DataError, match="no row carries the trigger"):
        attacked(loaded[1:2], tmp_path / "out")
