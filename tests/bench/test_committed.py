"""The experiments and results in the repository belong together: each file can be read, is described, and has the
results that it names.
"""

import json
from hashlib import sha256
from pathlib import Path

import pytest

from byorn.bench.experiment import read_experiment

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks" / "experiments"
EXPERIMENTS = sorted(path.stem for path in FOLDER.glob("*.yaml"))
NOT_KEPT = {"quick"}  # a first look; its cells are some of `main`


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_can_be_read_and_is_described(name: str) -> None:
    assert read_experiment(FOLDER / f"{name}.yaml").by_slug()
    assert f"`{name}`" in (ROOT / "docs" / "bench.md").read_text()


@pytest.mark.parametrize("name", sorted(set(EXPERIMENTS) - NOT_KEPT))
def test_every_cell_of_an_experiment_has_its_result_and_no_result_is_left_over(name: str) -> None:
    results = {path.stem for path in (ROOT / "benchmarks" / "results" / name).glob("*.json")}
    assert results == set(read_experiment(FOLDER / f"{name}.yaml").by_slug())


@pytest.mark.parametrize("name", sorted(set(EXPERIMENTS) - NOT_KEPT))
def test_results_are_those_of_the_plugins_that_are_here(name: str) -> None:
    """Or `byorn bench run` would refuse them."""
    plugins = map(Path, read_experiment(FOLDER / f"{name}.yaml").plugins)
    digests = {path.name: sha256(path.read_bytes()).hexdigest() for path in plugins}
    for path in (ROOT / "benchmarks" / "results" / name).glob("*.json"):
        assert json.loads(path.read_text()).get("plugins", {}) == digests
