"""docs/extending.md shows the files of examples/plugins, letter for letter; tests/bench/test_bench_plugins.py runs
them.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "plugins"
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
KINDS = ("attack", "defense", "metric", "task")


def shown(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_page_shows_each_file_and_nothing_else():
    assert shown("python") == [(FOLDER / f"{kind}.py").read_text(encoding="utf-8") for kind in KINDS]
    assert shown("yaml") == [(FOLDER / "experiment.yaml").read_text(encoding="utf-8")]
    assert sorted(path.stem for path in FOLDER.glob("*.py")) == list(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_an_example_has_at_most_30_lines(kind):
    assert len((FOLDER / f"{kind}.py").read_text(encoding="utf-8").splitlines()) <= 30


def test_the_page_names_every_registry_and_each_is_watched():
    from byorn.plugins import registries

    rows = dict(re.findall(r"^\| (\w+) \| `byorn\.([\w.]+)` \|", PAGE, re.MULTILINE))
    assert list(rows) == [registry.kind for registry in registries()]
    for registry in registries():
        module, _, name = f"byorn.{rows[registry.kind]}".rpartition(".")
        assert getattr(__import__(module, fromlist=[name]), name) is registry.entries
