"""The command line: options, the YAML file that holds them, errors in one line, exit codes, and a start that does
not keep one waiting.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from parsing import values_of, values_with

from byorn.cli.main import main
from byorn.cli.train import training_arguments
from byorn.cli.values import parse_setting
from byorn.errors import ConfigError
from byorn.training.config import check_arguments


def test_a_yaml_file_supplies_what_the_command_line_leaves_out(tmp_path):
    values = values_with(tmp_path, "scan", "data: rows.json\nbatch-size: 4\npercentile: 0.8\n", "--percentile", "0.5")
    assert (values["data"], values["score_batch_size"], values["percentile"]) == ("rows.json", 4, 0.5)


def test_training_arguments_come_from_yaml_then_set_then_their_own_option(tmp_path):
    yaml = "learning_rate: 1e-3\nweight_decay: 1e-1\nseed: 3\nlr_scheduler_type: cosine\n"
    values = values_with(tmp_path, "train", yaml, "--set", "weight_decay=2e-1", "--seed", "5")
    assert training_arguments(values) == {
        "learning_rate": 1e-3,
        "weight_decay": 0.2,
        "seed": 5,
        "lr_scheduler_type": "cosine",
    }


def test_a_misspelled_key_names_the_one_that_was_meant(tmp_path):
    with pytest.raises(ConfigError, match=r"percentil.*did you mean 'percentile'"):
        values_with(tmp_path, "scan", "percentil: 0.5\n")


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("turns: some\n", "turns: 'some' is not one of last, all"),
        ("batch_size: many\n", "batch_size: 'many' is not a whole number"),
        ("- a list\n", "expected `option: value`"),
        ("a: b: c\n", "mapping values"),
        ("percentile: 0.5\npercentile: 0.9\n", "percentile: it is given twice"),
        ("percentile: 0.5\nturns: last\nlimit: " + "[" * 3000 + "]" * 3000, "recursion"),
        (f"limit: 1{'0' * 5000}\n", "digits"),
    ],
)
def test_a_yaml_file_that_does_not_fit_says_where(tmp_path, yaml, message):
    with pytest.raises(ConfigError, match=message):
        values_with(tmp_path, "scan", yaml)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["scan", "--model", "embedded"], "--data is missing"),
        (["scan", "--model", "embedded", "--data", "x.json"], "x.json: no such file or folder"),
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
    from dataclasses import replace

    from byorn.cli import scan

    def interrupted(values):
        raise KeyboardInterrupt

    monkeypatch.setattr(scan, "COMMAND", replace(scan.COMMAND, run=interrupted))
    assert main(["scan"]) == 130
    assert "again" in capsys.readouterr().err


@pytest.mark.parametrize("command", [[], ["scan"], ["train"], ["evaluate"], ["demo"], ["bench"], ["push"]])
def test_help_names_every_option_without_loading_torch(command):
    code = f"import sys; from byorn.cli.main import main; assert main({[*command, '--help']!r}) == 0\n"
    heavy = ["torch", "transformers", "datasets", "trl", "numpy", *([] if command else ["pyarrow", "PIL", "yaml"])]
    code += f"assert not set({heavy!r}) & set(sys.modules), 'heavy imports'"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "--help" in result.stdout


def test_help_is_there_at_once():
    command = [sys.executable, "-m", "byorn", "--help"]
    subprocess.run(command, capture_output=True, check=True)
    times = []
    for _ in range(5):
        began = os.times()
        started = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        ended = os.times()
        processor = ended.children_user + ended.children_system - began.children_user - began.children_system
        times.append(min(processor, time.perf_counter() - started))
    assert min(times) < 0.15


def test_help_asks_for_a_model_only_where_there_must_be_one(capsys):
    told = []
    for command in ("poison", "scan"):
        assert main([command, "--help"]) == 0
        told.append(" ".join(capsys.readouterr().out.split()))
    about = "--model NAME folder or hub name of a vision-language model, or 'embedded'"
    assert f"{about} (default: none)" in told[0]
    assert f"{about} (required)" in told[1]


MODEL = ["--model", "embedded", "--data", "nowhere.json"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["scann"], "unknown command 'scann'; did you mean 'scan'?"),
        (["scan", "--percentil", "0.5"], "unknown option '--percentil'; did you mean '--percentile'?"),
        (["train", "--lerning-rate=1e-4"], "unknown option '--lerning-rate'; did you mean '--learning-rate'?"),
        (["scan", "rows.json"], "unexpected argument 'rows.json'"),
        (["scan", "--turns", "some"], "--turns: 'some' is not one of last, all"),
        (["scan", "--percentile"], "--percentile: expected one argument"),
        (["bench", "walk"], "invalid choice: 'walk'"),
        (["bench"], "the following arguments are required: {run,table,plot}\n"),
        (["--hlep"], "did you mean '--help'?"),
        (["help"], "did you mean '--help'?"),
        (["train", "--set", "lerning_rate=1", *MODEL], "did you mean 'learning_rate'?"),
        (["train", "--set", "zzz=1", *MODEL], "known ones is like it"),
        (["train", "--set", "warmup_ratio=0.1", *MODEL], "--set warmup_ratio: here it is called warmup_steps"),
        (["train", "--set", "flash_attn=fa2", *MODEL], "unknown training argument 'flash_attn'"),
        (["train", "--trust-remote-code=false"], "it is a switch and takes no value, such as 'false'"),
        (["train", "--set", "=1"], "write NAME=VALUE"),
        (["scan", "--out", ""], "--out: it is empty; give a path"),
        (["scan", "--model", "embedded", "--data", ""], "data: '' is empty"),
    ],
)
def test_a_slip_of_the_keyboard_is_answered_with_what_was_meant(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


NUMBERS = [
    ("scan", "--batch-size", "0"),
    ("scan", "--batch-size", "-1"),
    ("scan", "--batch-size", "1" + "0" * 400),
    ("train", "--set", "seed=1" + "0" * 400),
    ("train", "--set", "percentile=60"),
    ("train", "--set", "lr=-1"),
    ("train", "--set", "weight_decay=.nan"),
    ("train", "--set", "warmup_steps=soon"),
    ("scan", "--percentile", "60"),
    ("scan", "--percentile", "nan"),
    ("scan", "--limit", "0"),
    ("scan", "--max-length", "-5"),
    ("scan", "--show", "-1"),
    ("evaluate", "--max-new-tokens", "0"),
    ("evaluate", "--batch-size", "-2"),
    ("train", "--lora-rank", "0"),
    ("train", "--lora-dropout", "2"),
    ("train", "--learning-rate", "-1"),
    ("train", "--learning-rate", "nan"),
    ("train", "--lr", "1e30"),
    ("train", "--seed", "-1"),
    ("train", "--gradient-accumulation-steps", "0"),
    ("train", "--batch-size", "0"),
    ("train", "--epochs", "inf"),
    ("train", "--ema-decay", "1.5"),
    ("train", "--val-size", "-1"),
    ("poison", "--rate", "2"),
    ("demo", "--rows", "0"),
]


@pytest.mark.parametrize(("command", "option", "value"), NUMBERS, ids=lambda part: str(part))
def test_numbers_are_checked_at_the_door(command, option, value, capsys, tmp_path, monkeypatch):
    """Before the data, which is not there, is looked for, or a model loaded."""
    monkeypatch.chdir(tmp_path)
    rest = [] if command == "demo" else ["--data", "nowhere.json", "--target", "t", "--out", "o"]
    rest = [word for word in rest if command == "poison" or word not in ("--target", "t")]
    model = ["--model", "embedded"] if command not in ("demo", "poison") else []
    assert main([command, *rest, *model, option, value]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert "nowhere.json" not in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["data", "model", "out"])
def test_a_null_character_is_no_part_of_a_name(option, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = {"data": "x", "model": "embedded", "out": "run", option: "a\0b"}
    Path("run.yaml").write_text("".join(f"{name}: {json.dumps(value)}\n" for name, value in given.items()))
    assert main(["scan", "--config", "run.yaml"]) == 2
    assert f"{option}: 'a\\x00b' has a null character in it" in capsys.readouterr().err


def test_a_value_without_end_is_shown_by_its_beginning(tmp_path):
    """Each line holds the one before ten times: a million entries by a few lines."""
    lines = ["limit: &a0 [x]"] + [f"k{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 7)]
    with pytest.raises(ConfigError) as refusal:
        values_with(tmp_path, "scan", "\n".join([*lines[:-1], lines[-1].replace("k6", "show")]).replace("k", "name", 1))
    assert len(str(refusal.value)) < 500


def test_aliases_mean_the_options_that_they_stand_for(tmp_path):
    typed = values_of("train", "--lr", "1e-4", "--epochs", "2", "--batch-size", "4")
    assert typed == values_of(
        "train", "--learning-rate", "1e-4", "--num-train-epochs", "2", "--per-device-train-batch-size", "4"
    )
    assert values_with(tmp_path, "train", "lr: 1e-4\nepochs: 2\nbatch_size: 4\n") == typed
    assert values_of("scan", "--batch-size", "3")["score_batch_size"] == 3


@pytest.mark.parametrize("value", ["false", "no", "true"])
@pytest.mark.parametrize("key", ["bf16", "fp16", "gradient_checkpointing", "soft_targets"])
def test_quotes_do_not_turn_a_switch_of_sftconfig_on(key, value, tmp_path):
    """SFTConfig itself takes the text for true, as Python does."""
    values = values_with(
        tmp_path, "train", "weight_decay: 0\nrun_name: mine\nreport_to: [none]\neval_strategy: steps\n"
    )
    check_arguments(training_arguments(values))
    with pytest.raises(ConfigError, match=f"{key}: '{value}' is not true or false"):
        check_arguments(training_arguments(values_with(tmp_path, "train", f'{key}: "{value}"\n')))


@pytest.mark.parametrize("key", ["trust_remote_code", "strict", "lora_vision", "dry_run"])
@pytest.mark.parametrize("value", ['"false"', '"no"', "0", '"true"', "1"])
def test_a_switch_in_yaml_is_true_or_false_and_nothing_that_looks_like_it(key, value, tmp_path):
    with pytest.raises(ConfigError, match=f"{key}: .* is not true or false"):
        values_with(tmp_path, "train", f"{key}: {value}\n")
    assert values_with(tmp_path, "train", f"{key}: false\n")[key] is False


def test_the_defaults_of_the_help_are_those_of_sftconfig():
    from dataclasses import fields

    from trl import SFTConfig

    from byorn.settings import settings_of
    from byorn.training.settings import TrainerOptions

    real = {field.name: field.default for field in fields(SFTConfig)}
    for name, item, _ in settings_of(TrainerOptions):
        assert item.metadata["shown"] == str(real[name]), name


def test_the_statistics_of_the_option_are_those_that_are_computed():
    from typing import get_args

    from byorn.flagging.settings import Statistic
    from byorn.scoring.statistics import CONTRAST, STATISTICS

    assert set(get_args(Statistic)) == {*STATISTICS, CONTRAST}


def test_a_folder_that_cannot_be_written_is_one_line_before_anything_is_read(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / ("x" * 300)):
        for command in ("scan", "train", "evaluate"):
            assert (
                main([command, "--model", "embedded", "--data", str(tmp_path / "nowhere.json"), "--out", str(out)]) == 2
            )
            assert capsys.readouterr().err.startswith("error: --out ")


@pytest.mark.parametrize("text", ["Buy now # 1 in town", "#1 # of all"])
def test_a_text_on_the_command_line_has_no_comment(text):
    assert parse_setting(f"sentence={text}") == ("sentence", text)
