"""YAML files for `trl sft` drive `byorn train`: keys are read under their own names, ignored with a reason, or
refused.
"""

from dataclasses import fields
from pathlib import Path

import pytest
from parsing import values_of, values_with

from byorn.cli.foreign_keys import refuse_slips, translate
from byorn.cli.foreign_tables import HARMLESS, IGNORED, ONLY, REFUSED, RENAMED
from byorn.cli.main import main
from byorn.cli.train import COMMAND, training_arguments
from byorn.errors import ConfigError
from byorn.models.spec import LoraSpec, ModelSpec
from byorn.settings import build
from byorn.training.config import ByornConfig

RECIPES = Path(__file__).parents[2] / "recipes"
REALISTIC = """
model_name_or_path: Qwen/Qwen2.5-VL-3B-Instruct
model_revision: main
torch_dtype: bfloat16
attn_implementation: flash_attention_2
load_in_4bit: true
bnb_4bit_quant_type: nf4
dataset_name: data/train.json
dataset_config: en
dataset_train_split: train_sft
dataset_test_split: test_sft
use_peft: true
lora_r: 32
lora_alpha: 16
lora_dropout: 0.05
lora_target_modules: [q_proj, v_proj]
lora_task_type: CAUSAL_LM
output_dir: out/sft
learning_rate: 2e-4
per_device_train_batch_size: 2
per_device_eval_batch_size: 2
gradient_checkpointing: true
gradient_checkpointing_kwargs: {use_reentrant: false}
warmup_ratio: 0.1
save_strategy: no
eval_strategy: steps
eval_steps: 100
max_length: 2048
report_to: none
run_name: "007"
push_to_hub: true
hub_model_id: me/sft
hub_private_repo: true
packing: false
seed: 7
"""


def test_a_realistic_file_becomes_the_options_of_byorn(tmp_path, capsys):
    values = values_with(tmp_path, "train", REALISTIC, "--lora-alpha", "64")
    model = build(ModelSpec, values)
    assert (model.name, model.dtype, model.attention, model.quantize) == (
        "Qwen/Qwen2.5-VL-3B-Instruct", "bfloat16", "flash_attention_2", "4bit",
    )  # fmt: skip
    assert (values["data"], values["name"], values["split"], values["out"]) == (
        "data/train.json", "en", "train_sft", Path("out/sft"),
    )  # fmt: skip
    assert (values["lora_rank"], values["lora_alpha"], values["lora_dropout"]) == (32, 64, 0.05)
    assert (values["push_to_hub"], values["hub_private"], values["max_length"]) == ("me/sft", True, 2048)
    assert training_arguments(values) == {
        "learning_rate": 2e-4, "per_device_train_batch_size": 2, "gradient_checkpointing": True, "warmup_steps": 0.1,
        "gradient_checkpointing_kwargs": {"use_reentrant": False}, "report_to": "none", "run_name": "007",
        "packing": False, "seed": 7, "save_strategy": "no",
        "per_device_eval_batch_size": 2, "eval_strategy": "steps", "eval_steps": 100,
    }  # fmt: skip
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "dataset_test_split is ignored: give the rows as eval_data" in said[0]


def test_a_file_of_byorns_own_training_serves_its_scan_and_misspelled_keys_do_not(tmp_path, capsys):
    yaml = "model: embedded\ndata: rows.json\nrule: paper\npercentile: 0.5\nout: runs/safe\nbatch_size: 2\n"
    assert values_with(tmp_path, "scan", yaml)["out"] == Path("runs/safe")  # nothing in it is of a training alone
    yaml += "score_batch_size: 9\nlearning_rate: 1e-4\nlora-rank: 4\n"
    values = values_with(tmp_path, "scan", yaml, "--percentile", "0.7")
    assert (values["rule"], values["percentile"], values["out"]) == ("paper", 0.7, Path("runs/scan"))
    assert values["score_batch_size"] == 9
    assert "training; left out here: out, batch_size, learning_rate, lora_rank\n" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="unknown option 'percentil'; did you mean 'percentile'"):
        values_with(tmp_path, "scan", "learning_rate: 1e-4\npercentil: 0.5\n")
    with pytest.raises(ConfigError, match="use_dora: not an option of byorn train"):
        values_with(tmp_path, "scan", "use_dora: true\n")


@pytest.mark.parametrize("command", ["scan", "train"])
def test_a_key_in_two_spellings_is_refused(command, tmp_path):
    with pytest.raises(ConfigError, match="max_length: it is given twice"):
        values_with(tmp_path, command, "model_name_or_path: m\nmax-length: 5\nmax_length: 9\n")


def test_every_key_that_trl_sft_takes_has_an_answer():
    from trl import DatasetMixtureConfig, ModelConfig, ScriptArguments

    from byorn.training.config import ByornConfig

    ours = {*COMMAND.fields(), *COMMAND.aliases, "config", "set"}
    known = {*RENAMED, *IGNORED, *REFUSED, *HARMLESS, *ONLY, *ours, "load_in_4bit", "load_in_8bit"}
    for config in (ModelConfig, ScriptArguments, DatasetMixtureConfig):
        assert not {field.name for field in fields(config)} - known
    assert set(RENAMED.values()) <= ours | ByornConfig.__dataclass_fields__.keys()


def test_keys_of_older_versions_are_taken_over_or_told_why_not():
    values, notices = translate({"no_cuda": True, "logging_dir": "logs", "group_by_length": True})
    assert values == {"use_cpu": True}
    assert [line.partition(" is ignored: ")[0] for line in notices] == ["logging_dir", "group_by_length"]


def test_a_list_of_modules_matches_the_ends_of_names_as_in_peft():
    import re

    pattern = str(translate({"lora_target_modules": ["q_proj", "mlp.fc1"]})[0]["lora_targets"])
    names = (
        "model.language_model.layers.0.self_attn.q_proj",
        "model.vision.mlp.fc1",
        "q_proj",
        "x.my_q_proj",
        "x.mlpxfc1",
    )
    assert [bool(re.fullmatch(str(pattern), name)) for name in names] == [True, True, True, False, False]
    for text in ("all-linear", r".*language_model.*q_proj"):
        assert translate({"lora_target_modules": text})[0] == {"lora_targets": text}
    assert translate({"lora_target_modules": ["all-linear"]})[0] == {"lora_targets": "all-linear"}


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("use_peft: false\n", "use_peft: byorn trains LoRA adapters only; remove it"),
        ("use_dora: true\n", "use_dora: not an option of byorn train; use ByornTrainer"),
        ("load_in_4bit: true\nload_in_8bit: true\n", "load_in_8bit: load_in_4bit is given too; keep one"),
        ("dataset_streaming: true\n", "dataset_streaming: rows are scored before training; remove it"),
        ("datasets: [{path: a}]\n", "datasets: byorn train reads one data set; write dataset_name"),
        ("model_init_kwargs: {torch_dtype: auto}\n", "model_init_kwargs: write dtype"),
        ("model_revision: v2\n", "model_revision: .*download that revision"),
        ("bnb_4bit_quant_type: fp4\n", "bnb_4bit_quant_type: 4 bits are nf4"),
        ("push_to_hub: true\n", "push_to_hub: it needs a name; add hub_model_id"),
        ("push_to_hub: 'false'\nhub_model_id: me/sft\n", "push_to_hub: 'false' is no name"),
        ("load_in_4bit: 'false'\n", "load_in_4bit: 'false' is not true or false"),
        ("hub_token: hf_secret\n", "hub_token: tokens do not belong into files"),
        ("dataset_name: a\ndata: b\n", "data: it is given twice"),
        ("dtype: float8\n", "dtype: 'float8' is not one of auto, float32"),
        ("lora_r: many\n", "lora_rank: 'many' is not a whole number"),
        ("lora_target_modules: '['\n", r"lora_targets: '\[' is no regular expression"),
    ],
)
def test_what_byorn_does_not_do_is_refused_with_the_way_out(yaml, message, tmp_path):
    with pytest.raises(ConfigError, match=message) as refusal:
        build(LoraSpec, values_with(tmp_path, "train", yaml))
    assert "\n" not in str(refusal.value)


def test_nothing_is_pushed_unless_it_is_asked_for():
    assert translate({"hub_model_id": "me/sft", "push_to_hub": False}) == ({}, [])
    assert translate({"hub_model_id": "me/sft"}) == ({}, [])
    assert translate({"push_to_hub": "me/sft"}) == ({"push_to_hub": "me/sft"}, [])


@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        ("dataset_nam", "dataset_name"),
        ("model_name_or_pat", "model_name_or_path"),
        ("datset_dir", "dataset_dir"),
        ("eval_dat", "eval_data"),
        ("overwrite_outputdir", "overwrite_output_dir"),
    ],
)
def test_a_misspelled_key_of_another_trainer_names_the_one_that_was_meant(slip, meant, tmp_path):
    for command in ("scan", "train"):
        with pytest.raises(ConfigError, match=f"unknown option '{slip}'; did you mean '{meant}'"):
            training_arguments(values_with(tmp_path, command, f"learning_rate: 1e-4\n{slip}: data\n"))


def test_a_scan_names_the_argument_of_a_training_that_was_meant(tmp_path):
    with pytest.raises(ConfigError, match="unknown option 'learning_rat'; did you mean 'learning_rate'"):
        values_with(tmp_path, "scan", "learning_rat: 1e-4\n")


def test_no_argument_of_a_training_is_taken_for_a_slip():
    refuse_slips(ByornConfig.__dataclass_fields__, COMMAND.names())


def test_other_commands_know_their_own_keys_alone(tmp_path):
    with pytest.raises(ConfigError, match="unknown option 'gradient_checkpointing'"):
        values_with(tmp_path, "evaluate", "model: embedded\ngradient_checkpointing: true\n")


@pytest.mark.parametrize("recipe", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.name)
def test_a_recipe_is_a_valid_configuration(recipe, tmp_path):
    from byorn.pipeline.build import build_config
    from byorn.pipeline.settings.train import TrainSpec

    values = values_of("train", "--config", str(recipe))
    arguments = {**training_arguments(values), "bf16": False, "use_cpu": True}
    config = build_config(TrainSpec(arguments=arguments), tmp_path)
    assert config.learning_rate == 1e-4
    assert values["model"]
    assert values["data"]


def test_a_tracker_that_is_not_installed_is_said_before_anything_is_read(tmp_path, capsys):
    command = ["train", "--model", "embedded", "--data", str(tmp_path / "nowhere.json"), "--out", str(tmp_path / "run")]
    assert main([*command, "--set", "report_to=no-such-tracker"]) == 2
    assert "report_to: 'no-such-tracker' is not installed" in capsys.readouterr().err
    assert main([*command, "--set", "packing=true"]) == 2
    assert "packing: not possible" in capsys.readouterr().err
    assert main([*command, "--set", "push_to_hub=true"]) == 2
    assert "--set push_to_hub: True is not text" in capsys.readouterr().err
    assert not list(tmp_path.glob("run/*"))
