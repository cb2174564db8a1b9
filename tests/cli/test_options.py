"""The command line: options, the YAML file that holds them, errors in one line, exit codes, and a start that does not keep one waiting."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from byorn.cli.options import apply_config

from byorn.cli.main import build_parser, main
from byorn.cli.train import training_arguments
from byorn.errors import ConfigError


def parsed(tmp_path: Path, command: str, yaml: str, *arguments: str):
    path = tmp_path / "run.yaml"
    path.write_text(yaml)
    return apply_config(build_parser(), [command, "--config", str(path), *arguments])


def test_a_yaml_file_supplies_what_the_command_line_leaves_out(tmp_path):
    options = parsed(tmp_path, "scan", "data: rows.json\nbatch-size: 4\npercentile: 0.8\n", "--percentile", "0.5")
    assert (options.data, options.batch_size, options.percentile) == ("rows.json", 4, 0.5)


def test_training_arguments_come_from_yaml_then_set_then_their_own_option(tmp_path):
    yaml = "learning_rate: 1e-3\nweight_decay: 1e-1\nseed: 3\nlr_scheduler_type: cosine\n"
    options = parsed(tmp_path, "train", yaml, "--set", "weight_decay=2e-1", "--seed", "5")
    assert training_arguments(options) == {
        "learning_rate": 1e-3,
        "weight_decay": 0.2,
        "seed": 5,
        "lr_scheduler_type": "cosine",
    }


def test_a_misspelled_key_names_the_one_that_was_meant(tmp_path):
    with pytest.raises(ConfigError, match=r"percentil.*did you mean 'percentile'"):
        parsed(tmp_path, "scan", "percentil: 0.5\n")


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("turns: some\n", "turns: 'some' is not one of last, all"),
        ("batch_size: many\n", "batch_size: 'many' is not a int"),
        ("- a list\n", "expected `option: value`"),
        ("a: b: c\n", "mapping values"),
    ],
)
def test_a_yaml_file_that_does_not_fit_says_where(tmp_path, yaml, message):
    with pytest.raises(ConfigError, match=message):
        parsed(tmp_path, "scan", yaml)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["scan", "--model", "embedded"], "--data is missing"),
        (["scan", "--model", "./nowhere", "--data", "x.json"], "no folder './nowhere'"),
        (["scan", "--config", "missing.yaml"], "missing.yaml"),
        (["poison", "--data", "nowhere.json", "--out", "o", "--target", "t"], "nowhere.json"),
        (["train", "--data", "x.json", "--model", "./nowhere", "--set", "oops"], "NAME=VALUE"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert message in error


def test_an_interrupt_is_130_and_says_that_the_run_can_go_on(capsys, monkeypatch):
    from byorn.cli import scan

    def interrupted(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(scan, "run", interrupted)
    assert main(["scan"]) == 130
    assert "again" in capsys.readouterr().err


@pytest.mark.parametrize("command", [[], ["scan"], ["train"], ["poison"], ["evaluate"], ["demo"]])
def test_help_names_every_option_without_loading_torch(command):
    code = "import sys; from byorn.cli.main import build_parser\n"
    code += f"try: build_parser().parse_args({[*command, '--help']!r})\nexcept SystemExit: pass\n"
    code += "assert not {'torch', 'transformers', 'datasets', 'trl', 'numpy'} & set(sys.modules), 'heavy imports'"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "--help" in result.stdout


def test_help_takes_less_than_half_a_second():
    command = [sys.executable, "-m", "byorn", "--help"]
    subprocess.run(command, capture_output=True, check=True)
    times = []
    for _ in range(3):
        began = os.times()
        started = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        ended = os.times()
        processor = ended.children_user + ended.children_system - began.children_user - began.children_system
        times.append(min(processor, time.perf_counter() - started))
    assert min(times) < 0.5
