"""Every number of every command at and beyond its limits: one line and exit code 2, before data or a model is looked
at. The table is made from the fields, so that a new option is in it.
"""

import os
import subprocess
import sys
from dataclasses import fields
from importlib import import_module
from typing import get_args, get_type_hints

import pytest

from byorn.attacks import ATTACKS
from byorn.attacks.trigger import build_trigger
from byorn.cli.main import COMMANDS, main
from byorn.defenses import DEFENSES, defense_named
from byorn.errors import ConfigError
from byorn.settings import settings_of
from byorn.training.config import ByornConfig, check_arguments
from byorn.training.limits import LIMITS
from byorn.training.settings import ByornSettings

WRONG = ("-1", "0", "nan", "inf", "-inf", "1e30", "-1e30", "1" + "0" * 400)
MEANT = {
    "percentile": {"0"}, "ema_decay": {"0"}, "lora_dropout": {"0"}, "show": {"0"}, "rate": {"0"}, "seed": {"0"},
    "learning_rate": {"0"}, "max_steps": {"-1"}, "weight_decay": {"0"}, "warmup_steps": {"0"}, "adam_beta1": {"0"},
    "adam_beta2": {"0"}, "max_grad_norm": {"0"}, "label_smoothing_factor": {"0"}, "neftune_noise_alpha": {"0"},
    "eval_delay": {"0"}, "data_seed": {"0"}, "dataloader_num_workers": {"0"}, "local_rank": {"-1", "0"},
    "router_aux_loss_coef": {"0"}, "trigger_size": {"0"}, "port": {"0"}, "look_closer": {"0"}, "feature_cache": {"0"},
    "response_block": {"0"},
}  # fmt: skip
"""What of `WRONG` is right: zero where it means none or all, and -1 where it means that nothing is said."""
ENOUGH = {
    "scan": ["--data", "nowhere.json", "--model", "embedded"],
    "train": ["--data", "nowhere.json", "--model", "embedded"],
    "evaluate": ["--data", "nowhere.json", "--model", "embedded"],
    "poison": ["--data", "nowhere.json", "--target", "t", "--out", "o"],
    "bench": ["run", "nowhere"],
    "demo": [],
    "rewrite": ["nowhere", "--mode", "drop", "--out", "o"],
    "review": ["nowhere", "--serve"],
    "verify": ["nowhere"],
    "simulate": ["nowhere"],
    "push": ["--adapter", "nowhere", "--to", "a/b"],
}


def is_number(kind):
    return bool({int, float} & {kind, *get_args(kind)})


def numbers(command):
    return [
        name for name, (_, kind) in import_module(f"byorn.cli.{command}").COMMAND.fields().items() if is_number(kind)
    ]


@pytest.mark.parametrize(
    ("command", "option"), [(command, option) for command in COMMANDS for option in numbers(command)]
)
def test_a_number_out_of_range_is_refused_at_the_door(command, option, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for value in WRONG:
        if value in MEANT.get(option, ()):
            continue
        assert main([command, *ENOUGH[command], f"--{option.replace('_', '-')}={value}"]) == 2, value
        error = capsys.readouterr().err.strip()
        assert error.startswith("error: "), value
        assert option in error.replace("-", "_").partition(": ")[2].partition(": ")[0], error
        assert "\n" not in error
        assert "nowhere" not in error
    assert list(tmp_path.iterdir()) == []


SFT = [name for name, kind in get_type_hints(ByornConfig).items() if is_number(kind)]
YAML = (-1, 0, float("nan"), float("inf"), 1e30, -1e30, 10**400)


@pytest.mark.parametrize("name", SFT)
def test_a_number_of_sftconfig_out_of_range_is_refused_at_the_door(name):
    """As `--set`, a YAML file and the arguments of a bench experiment give it."""
    own = {item.name: item.metadata["check"] for _, item, _ in settings_of(ByornSettings)}
    assert name in LIMITS or name in own
    for value in YAML:
        if name in own and isinstance(value, int) and abs(value) < 10:
            continue  # the test above has asked about it
        if str(value) not in MEANT.get(name, ()):
            with pytest.raises(ConfigError, match=name):
                check_arguments({name: value})


def test_a_number_inside_a_mapping_is_looked_at_too():
    endless: dict[str, object] = {"power": 2.0}
    endless["itself"] = endless
    check_arguments({"lr_scheduler_kwargs": endless})
    for value in (float("nan"), 1e30, [float("inf")]):
        with pytest.raises(ConfigError, match=r"lr_scheduler_kwargs: power"):
            check_arguments({"lr_scheduler_kwargs": {"power": value}})


def test_what_is_left_out_without_evaluation_rows_is_checked_all_the_same(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for given in ("per_device_eval_batch_size=-1", "eval_steps=.nan", 'do_eval="false"'):
        assert main(["train", *ENOUGH["train"], "--set", given]) == 2
        assert f"error: {given.partition('=')[0]}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "option"),
    [
        (name, option)
        for name, defense in DEFENSES.items()
        for option, kind in get_type_hints(defense).items()
        if is_number(kind)
    ],
)
def test_the_numbers_of_a_defense_are_checked_when_it_is_named(name, option):
    meant = {"share": {0}, "layers": {0}, "strength": {0}, "bar": {-1, 0}}
    for value in (*YAML, True, "many"):
        if value is True or value not in meant.get(option, ()):
            with pytest.raises(ConfigError, match=option):
                defense_named(name, {option: value})


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_the_numbers_of_an_attack_are_checked_when_it_is_named(name):
    for field in fields(ATTACKS[name]):
        if field.init and is_number(get_type_hints(ATTACKS[name])[field.name]):
            for value in (float("nan"), float("inf"), 1e30, -1e30, 10**400, True, "many"):
                with pytest.raises(ConfigError, match=field.name):
                    build_trigger(ATTACKS, name, {field.name: value})


@pytest.mark.parametrize(
    ("command", "given"),
    [
        ("scan", ["--batch-size", "-1"]),
        ("train", ["--batch-size", "0"]),
        ("train", ["--lora-rank", "0"]),
        ("train", ["--set", "dataloader_num_workers=-1"]),
        ("evaluate", ["--max-new-tokens", "0"]),
        ("poison", ["--seed", "-1"]),
    ],
)
def test_the_answer_is_there_at_once(command, given, tmp_path):
    """Twenty seconds were asked for; nothing that takes long to import is needed to say it."""
    code = f"import sys; from byorn.cli.main import main; assert main({[command, *ENOUGH[command], *given]!r}) == 2\n"
    code += "assert not {'torch', 'transformers', 'trl'} & set(sys.modules)"
    began = os.times()
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=tmp_path)
    ended = os.times()
    assert ended.children_user + ended.children_system - began.children_user - began.children_system < 20
