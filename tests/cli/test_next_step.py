"""What commands say to type next can be typed: it means the data, the model and the rule that they had."""

import shlex
from pathlib import Path

import pytest
from parsing import values_of, values_with

from byorn.cli.arguments import CONFIG
from byorn.cli.next_step import tell_next, train_step
from byorn.data.spec import DataSpec
from byorn.flagging.settings import FlagSettings
from byorn.models.spec import ModelSpec
from byorn.settings import build


def test_the_line_after_a_scan_trains_on_what_was_scanned(tmp_path, capsys):
    folder = tmp_path / "it's; $(odd)"
    data = DataSpec(source=str(folder / "rows"), name="mm,pairs", limit=7, image_root=folder, strict=True)
    model = ModelSpec(name="a model", trust_remote_code=True, quantize="4bit")
    rule = FlagSettings(rule="paper", percentile=0.8)

    tell_next(["verify", folder], train_step(folder, model, data, rule), first="read it, then ")

    said = capsys.readouterr().err
    assert said.count("\n") == 1
    line, _, train = said.strip().partition(", or ")
    assert line == f"next: read it, then byorn verify {shlex.quote(str(folder))}"
    program, command, *options = shlex.split(train)
    values = values_of(command, *options)
    assert (program, command, values["scan"]) == ("byorn", "train", str(folder))
    assert [build(kind, values) for kind in (DataSpec, ModelSpec, FlagSettings)] == [data, model, rule]


def test_a_file_for_the_training_is_named_again_with_what_was_typed_beside_it(tmp_path, capsys):
    yaml = "model: embedded\ndata: rows\nturns: all\nlearning_rate: 1e-4\nlora_rank: 4\nbatch_size: 2\n"
    values = values_with(tmp_path, "scan", yaml, "--turns", "last", "--rule", "paper")
    specs = [build(kind, values) for kind in (ModelSpec, DataSpec, FlagSettings)]

    tell_next(train_step(Path("runs/scan"), *specs, file=values[CONFIG]))

    line = capsys.readouterr().err.splitlines()[-1]
    config = f"--config {tmp_path / 'run.yaml'}"
    assert line == f"next: byorn train {config} --turns last --rule paper --scan runs/scan"
    training = values_of(*shlex.split(line)[2:])
    assert [build(kind, training) for kind in (ModelSpec, DataSpec, FlagSettings)] == specs
    assert (training["learning_rate"], training["lora_rank"]) == (1e-4, 4)


@pytest.mark.parametrize("yaml", ["show: 3\n", "show: 3\nlearning_rate: 1e-4\n"])
def test_a_file_that_a_training_would_refuse_is_not_named(yaml, tmp_path):
    assert CONFIG not in values_with(tmp_path, "scan", f"model: embedded\ndata: rows\n{yaml}")


def test_names_that_begin_with_a_dash_are_no_options(capsys):
    data = DataSpec(source="-rows", name="-entry")
    tell_next(["verify", Path("-scan")], train_step(Path("-scan"), ModelSpec(name="embedded"), data))
    line, _, train = capsys.readouterr().err.strip().partition(", or ")
    assert line == "next: byorn verify ./-scan"
    values = values_of(*shlex.split(train)[1:])
    assert values["scan"] == "./-scan"
    assert build(DataSpec, values) == data


def test_what_is_left_at_its_default_is_not_repeated(capsys):
    tell_next(train_step(Path("runs/scan"), ModelSpec(name="embedded"), DataSpec(source="rows"), FlagSettings()))
    assert capsys.readouterr().err == "next: byorn train --model embedded --data rows --scan runs/scan\n"
