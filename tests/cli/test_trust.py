"""Nothing but a real true runs the Python code of a model folder, whichever way it is said."""

import json
from dataclasses import dataclass
from typing import Annotated

import pytest

from byorn.attacks.trigger import Trigger, build_trigger
from byorn.bench.experiment import read_experiment
from byorn.bench.run import run_experiments
from byorn.cli.main import main
from byorn.data.files import write_rows
from byorn.defenses.options import fitted
from byorn.defenses.perplexity import load_causal_lm
from byorn.errors import ByornError, ConfigError
from byorn.models.load import load_config, load_model, load_processor
from byorn.models.spec import ModelSpec
from byorn.settings import fraction
from byorn.testing import tiny_rows
from byorn.training.config import ByornConfig

NOT_TRUE = ['"false"', '"true"', '"no"', "1", "0", "1.0", "[true]", "{a: true}"]


@pytest.fixture
def trap(tmp_path):
    """A model folder whose own code leaves a mark when it runs."""
    folder = tmp_path / "model"
    folder.mkdir()
    code = f"import pathlib\npathlib.Path({str(tmp_path / 'mark')!r}).touch()\n"
    (folder / "own.py").write_text(code + "raise ValueError('own code')\n")
    mapped = {"AutoConfig": "own.Config", "AutoProcessor": "own.Processor", "AutoModelForCausalLM": "own.Model"}
    for name in ("config.json", "processor_config.json"):
        (folder / name).write_text(json.dumps({"model_type": "own", "auto_map": mapped}))
    write_rows(tiny_rows(2), tmp_path / "data")
    return folder


def given(trap, *more):
    return ["--model", str(trap), "--data", str(trap.parent / "data"), "--out", str(trap.parent / "out"), *more]


def ran(trap):
    return (trap.parent / "mark").exists()


def test_the_trap_works(trap):
    """Else the tests below would prove nothing."""
    assert main(["scan", *given(trap, "--trust-remote-code")]) == 2
    assert ran(trap)


@pytest.mark.parametrize("command", ["scan", "train", "evaluate"])
def test_without_a_word_the_code_of_a_model_stays_where_it_is(trap, command, capsys):
    assert main([command, *given(trap)]) == 2
    assert not ran(trap)


@pytest.mark.parametrize("value", NOT_TRUE)
@pytest.mark.parametrize("command", ["scan", "train", "evaluate", "poison"])
def test_a_yaml_file_that_does_not_say_true_is_refused(trap, command, value, capsys):
    (trap.parent / "run.yaml").write_text(f"trust_remote_code: {value}\n")
    target = ["--target", "t"] if command == "poison" else []
    assert main([command, *given(trap, "--config", str(trap.parent / "run.yaml"), *target)]) == 2
    assert "trust_remote_code" in capsys.readouterr().err
    assert not ran(trap)


@pytest.mark.parametrize("value", NOT_TRUE)
def test_set_and_the_way_around_it_are_refused(trap, value, capsys):
    for name in (f"trust_remote_code={value}", f"model_init_kwargs={{trust_remote_code: {value}}}"):
        assert main(["train", *given(trap, "--set", name)]) == 2
        assert name.partition("=")[0] in capsys.readouterr().err
        assert not ran(trap)


@pytest.mark.parametrize("value", ["false", "true", 1, None, ["true"]])
def test_python_is_held_to_the_same(trap, value, tmp_path):
    for call in (load_processor, load_model):
        with pytest.raises(ConfigError, match="trust_remote_code"):
            call(str(trap), trust_remote_code=value)
    with pytest.raises(ConfigError, match="trust_remote_code"):
        ByornConfig(str(tmp_path / "o"), trust_remote_code=value)
    with pytest.raises(ConfigError, match="model_init_kwargs: trust_remote_code"):
        ByornConfig(str(tmp_path / "o"), model_init_kwargs={"trust_remote_code": value})
    assert not ran(trap)


def test_a_language_model_of_a_defense_is_loaded_without_its_code(trap):
    for load in (lambda name: load_causal_lm(name, "cpu"), lambda name: load_config(ModelSpec(name=name))):
        with pytest.raises(ByornError):
            load(str(trap))
    assert not ran(trap)


def test_an_experiment_runs_no_code_of_a_model(trap, tmp_path, capsys):
    """It has no word for it; among the training arguments it is about nothing that is loaded."""
    file = tmp_path / "e.yaml"
    text = f"title: x\nmodel: {trap}\nattacks: {{badnets: {{attack: badnets}}}}\ndefenses: [sft]\nseeds: [0]\n"
    file.write_text(text + "rows: 20\ntest_rows: 4\narguments: {trust_remote_code: true}\n")
    failures = run_experiments([read_experiment(file)], tmp_path / "results", tmp_path / "work")
    assert len(failures) == 1
    for value in NOT_TRUE:
        file.write_text(text + f"arguments: {{trust_remote_code: {value}}}\n")
        with pytest.raises(ConfigError, match="trust_remote_code"):
            run_experiments([read_experiment(file)], tmp_path / "results", tmp_path / "work")
    file.write_text(text + "trust_remote_code: true\n")
    with pytest.raises(ConfigError, match="unknown field 'trust_remote_code'"):
        read_experiment(file)
    assert not ran(trap)


@dataclass(frozen=True)
class Mine(Trigger):
    """A trigger of a plug-in, which checks nothing itself."""

    name = "mine"
    loud: bool = False


def answered(case: object, *, loud: bool = False, share: Annotated[float, fraction] = 0.1) -> None:
    """A defense of a plug-in."""


@pytest.mark.parametrize("value", ["false", "true", 0, 1, None])
def test_a_switch_of_a_plug_in_is_true_or_false(value):
    """Its code would take any text for true."""
    for call in (
        lambda: build_trigger({"mine": Mine}, "mine", {"loud": value}),
        lambda: fitted("mine", answered, {"loud": value}),
    ):
        with pytest.raises(ConfigError, match="loud"):
            call()
    assert fitted("mine", answered, {"loud": True, "share": 1}) == {"loud": True, "share": 1.0}
    with pytest.raises(ConfigError, match="share"):
        fitted("mine", answered, {"share": 2})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gradient_checkpointing_kwargs", {"use_reentrant": "false"}),
        ("gradient_checkpointing_kwargs", '{"use_reentrant": "no", "x": {"deep": "off"}}'),
        ("include_num_input_tokens_seen", "false"),
        ("accelerator_config", {"split_batches": "False "}),
    ],
)
def test_a_quoted_switch_is_found_where_text_is_taken_too(name, value, tmp_path):
    """transformers reads JSON texts itself, and takes any text for true."""
    with pytest.raises(ConfigError, match=rf"{name.partition('_')[2]}.*is not true or false"):
        ByornConfig(str(tmp_path / "o"), use_cpu=True, **{name: value})
