"""A setting has one home, and however it is given it reaches training, the report, the card and the configuration alike."""

import json
import re
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from byorn.cli.main import COMMANDS, main
from byorn.data.files import write_rows
from byorn.settings import settings_of
from byorn.testing import tiny_rows

SOURCE = Path(str(import_module("byorn").__file__)).parent
DEMO = "DemoSpec"
"""The demo is an experiment: it says what its one attack and training are, as an experiment file does."""
SEPARATE = {
    "seed": "of an attack, and of training",
    "adapter": "what is measured, and what is uploaded",
    "format": "of rows, and of tables and plots",
    "dry_run": "of a scan, and of training",
}


def test_no_setting_is_declared_in_two_classes():
    homes: dict[str, set[str]] = {}
    for name in COMMANDS:
        for kind in import_module(f"byorn.cli.{name}").COMMAND.settings:
            for option, item, _ in settings_of(kind):
                owner = next(cls for cls in reversed(kind.__mro__) if item.name in getattr(cls, "__annotations__", {}))
                homes.setdefault(option, set()).add(owner.__name__)
    twice = {option: kinds - {DEMO} for option, kinds in homes.items() if len(kinds - {DEMO}) > 1}
    assert twice.keys() == SEPARATE.keys(), twice


def test_no_option_is_declared_by_hand():
    found = {
        path.relative_to(SOURCE).as_posix(): re.findall(r"add_argument\(\s*\"(--[\w-]+)\"", path.read_text())
        for path in SOURCE.rglob("*.py")
    }
    assert {name: options for name, options in found.items() if options} == {"cli/arguments.py": ["--config", "--set"]}


@pytest.fixture(scope="module")
def place(tmp_path_factory, model, processor):
    folder = tmp_path_factory.mktemp("place")
    model.save_pretrained(folder / "model")
    processor.save_pretrained(folder / "model")
    write_rows(tiny_rows(20), folder / "data")
    return folder


@pytest.mark.parametrize("way", ["option", "set", "yaml", "dashes"])
def test_percentile_means_the_same_in_whatever_way_it_is_given(way, place):
    out = place / way
    given = {"option": ["--percentile", "0.9"], "set": ["--set", "percentile=0.9"]}.get(
        way, ["--config", str(place / way) + ".yaml"]
    )
    (place / "yaml.yaml").write_text("percentile: 0.9\nscore_batch_size: 4\n")
    (place / "dashes.yaml").write_text("percentile: 0.9\nscore-batch-size: 4\n")
    quick = [
        "--max-steps",
        "1",
        "--batch-size",
        "4",
        "--device",
        "cpu",
        "--scan",
        "none",
        "--set",
        "max_response_tokens=2",
    ]
    command = ["train", "--model", str(place / "model"), "--data", str(place / "data"), "--out", str(out)]
    assert main([*command, *quick, *given]) == 0
    report = json.loads((out / "training.json").read_text())
    config = yaml.safe_load((out / "config.yaml").read_text())
    assert report["rule"] == "percentile(p=0.9)"
    assert 0 < report["flagged"] <= 2
    assert report["arguments"]["percentile"] == config["resolved"]["percentile"] == 0.9
    assert "0.9" in (out / "adapter" / "README.md").read_text()


@pytest.mark.parametrize("given", [["--max-length", "5"], ["--set", "max_length=5"]])
def test_a_longest_row_rejects_and_never_cuts(given, place, capsys):
    command = ["train", "--model", str(place / "model"), "--data", str(place / "data"), "--out", str(place / "long")]
    assert main([*command, *given]) == 2
    assert "every row is over 5 tokens" in capsys.readouterr().err
