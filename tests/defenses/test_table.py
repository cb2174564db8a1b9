"""The table of defenses: what it lists, what it refuses, and what its files look like."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import byorn.defenses
from byorn.defenses import DEFENSES, defense_named
from byorn.errors import ConfigError

FOLDER = Path(byorn.defenses.__file__).parent


def module_of(name):
    return import_module(f"byorn.defenses.{name.replace('-', '_')}")


def test_the_help_names_every_defense():
    from byorn.pipeline.settings.train import TrainSpec
    from byorn.settings import settings_of

    text = {name: item.metadata["help"] for name, item, _ in settings_of(TrainSpec)}["defense"]
    words = text.replace(",", " ").replace(";", " ").replace(":", " ").split()
    assert set(DEFENSES) <= set(words)


@pytest.mark.parametrize("name", DEFENSES)
def test_every_defense_says_what_it_does_how_what_it_costs_and_whence_it_is(name):
    lines = (module_of(name).__doc__ or "").splitlines()
    assert lines[0].startswith(f"`{name}`: ")
    starts = [line.partition(":")[0] for line in lines if line.partition(":")[0] in ("Formula", "Cost", "Source")]
    assert starts == ["Formula", "Cost", "Source"]
    assert DEFENSES[name].__module__ == module_of(name).__name__


def test_only_the_oracle_knows_about_attacks():
    def imports_attacks(path):
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        return any("byorn.attacks" in (getattr(node, "module", None) or "") for node in nodes)

    assert [path.name for path in FOLDER.glob("*.py") if imports_attacks(path)] == ["oracle.py"]


def test_reading_the_table_loads_neither_torch_nor_scikit_learn():
    code = "import sys, byorn.defenses; print({'torch', 'sklearn', 'scipy', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("bey", {}, "known are base-relabel, bye, byorn, byorn-f"),
        ("sft", {"share": 0.4}, "no option 'share'; it knows none"),
        ("random-drop", {"shar": 0.4}, "it knows share"),
        ("oracle", {}, "needs the option manifest"),
    ],
)
def test_a_wrong_name_or_option_is_refused_with_what_there_is(name, options, message):
    with pytest.raises(ConfigError, match=message):
        defense_named(name, options)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("random-drop", {"share": 1.5}),
        ("random-drop", {"share": "many"}),
        ("onion", {"bar": "high"}),
        ("onion-r", {"share": -1}),
        ("tcap", {"heads": 0}),
        ("tcap", {"layers": 2}),
        ("robustit", {"strength": -0.1}),
        ("base-relabel", {"sampled": "yes"}),
    ],
)
def test_a_value_out_of_range_is_refused_before_the_model_works(name, options, processor, tmp_path):
    from cases import tiny_case

    with pytest.raises(ConfigError, match=next(iter(options))):
        defense_named(name, options)(tiny_case(tmp_path, None, processor))
