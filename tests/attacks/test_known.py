"""Attacks by a short name, and planting them in a few rows of many."""

import pytest

from byorn.attacks.known import known_attacks
from byorn.attacks.manifest import read_manifest
from byorn.attacks.plant import plant
from byorn.data.load import load_rows
from byorn.errors import ConfigError
from byorn.testing import tiny_rows


def attack(name, rate=0.1):
    return known_attacks([name], rate=rate, seed=3)[0]


def test_a_name_is_a_trigger_an_objective_and_a_target():
    found = attack("badnets-t:fixed:Visit: our shop")
    assert (found.recipe.attack, found.recipe.objective, found.recipe.target) == (
        "badnets-t",
        "fixed",
        "Visit: our shop",
    )
    assert attack("badnets:refusal").recipe.target == "I'm sorry"
    assert [one.name for one in known_attacks(["badnets:word"] * 2, rate=0.1, seed=0)] == ["badnets:word"]


def test_every_attack_has_a_folder_of_its_own_that_is_no_path():
    names = ["badnets:word", "badnets:word:../../x", "badnets:word:x", "badnets:word:X", "badnets+badnets-t:word"]
    folders = [one.folder for one in known_attacks(names, rate=0.1, seed=0)]
    assert len(set(folders)) == len(names)
    assert all(not set(folder) & set("/\\. :") for folder in folders)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("badnets", "write TRIGGER:OBJECTIVE"),
        ("nobody:word", "unknown attack 'nobody'"),
        ("badnets:nothing", "unknown objective 'nothing'"),
        ("badnets:concept:cat", "not simulated"),
        ("badnets:truth", "badnets:truth:WORD"),
    ],
)
def test_what_is_no_attack_is_refused(name, said):
    with pytest.raises(ConfigError, match=said):
        attack(name)


@pytest.mark.parametrize(("name", "written"), [("badnets:word", 6), ("dual-key:word", 18)])
def test_only_marked_rows_are_written(name, written, tmp_path):
    """Of dual-key two clean negatives come with each poisoned row."""
    rows = tiny_rows(60)
    manifest = plant(rows, attack(name).recipe, tmp_path / "data")
    found = {row.key: row for row in load_rows(tmp_path / "data").rows}
    assert (len(found), len(manifest.poisoned)) == (written, 6)
    before = {row.key: row for row in rows}
    assert all(found[key].response == ("banana" if key in manifest.keys else before[key].response) for key in found)
    assert read_manifest(tmp_path / "data").keys == manifest.keys
