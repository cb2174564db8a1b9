"""A YAML file for `trl sft` drives `byorn train`: keys are read under their own names, ignored with a reason, or refused."""

from dataclasses import fields
from pathlib import Path

import pytest
from byorn.cli.options import apply_config, model_spec
from byorn.cli.trl_keys import HARMLESS, IGNORED, REFUSED, RENAMED, from_trl

from byorn.cli.main import build_parser, main
from byorn.cli.train import training_arguments
from byorn.errors import ConfigError

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


def parsed(tmp_path, yaml, *arguments):
    path = tmp_path / "sft.yaml"
    path.write_text(yaml)
    return apply_config(build_parser(), ["train", "--config", str(path), *arguments])


def test_a_realistic_file_becomes_the_options_of_byorn(tmp_path, capsys):
    options = parsed(tmp_path, REALISTIC, "--lora-alpha", "64")
    assert (options.model, options.dtype, options.attention, options.quantize) == (
        "Qwen/Qwen2.5-VL-3B-Instruct", "bfloat16", "flash_attention_2", "4bit",
    )  # fmt: skip
    assert (model_spec(options).quantize, model_spec(options).attention) == ("4bit", "flash_attention_2")
    assert (options.data, options.name, options.split, options.out) == ("data/train.json", "en", "train_sft", "out/sft")
    assert (options.lora_rank, options.lora_alpha, options.lora_dropout) == (32, 64, 0.05)
    assert (options.push_to_hub, options.hub_private, options.max_length) == ("me/sft", True, 2048)
    assert training_arguments(options) == {
        "learning_rate": 2e-4, "per_device_train_batch_size": 2, "gradient_checkpointing": True, "warmup_steps": 0.1,
        "gradient_checkpointing_kwargs": {"use_reentrant": False}, "report_to": "none", "run_name": "007", "packing": False, "seed": 7, "save_strategy": "no",
    }  # fmt: skip
    said = capsys.readouterr().err.splitlines()
    keys = ("dataset_test_split", "eval_strategy", "eval_steps", "per_device_eval_batch_size")
    assert [line.split(": ")[1].split()[0] for line in said] == list(keys)
    assert all("is ignored: byorn train has no evaluation set" in line for line in said)


def test_every_key_that_trl_sft_takes_has_an_answer():
    from trl import DatasetMixtureConfig, ModelConfig, ScriptArguments

    from byorn.training.config import ByornConfig

    ours = {action.dest for action in build_parser()._subparsers._group_actions[0].choices["train"]._actions}
    known = {*RENAMED, *IGNORED, *REFUSED, *HARMLESS, *ours, "load_in_4bit", "load_in_8bit"}
    for config in (ModelConfig, ScriptArguments, DatasetMixtureConfig):
        assert not {field.name for field in fields(config)} - known
    assert set(RENAMED.values()) <= ours | {"warmup_steps"}
    assert "warmup_steps" in ByornConfig.__dataclass_fields__


def test_a_list_of_modules_matches_the_ends_of_names_as_in_peft():
    import re

    pattern = from_trl({"lora_target_modules": ["q_proj", "mlp.fc1"]})[0]["lora_targets"]
    names = (
        "model.language_model.layers.0.self_attn.q_proj",
        "model.vision.mlp.fc1",
        "q_proj",
        "x.my_q_proj",
        "x.mlpxfc1",
    )
    assert [bool(re.fullmatch(pattern, name)) for name in names] == [True, True, True, False, False]
    for text in ("all-linear", r".*language_model.*q_proj"):
        assert from_trl({"lora_target_modules": text})[0] == {"lora_targets": text}
    assert from_trl({"lora_target_modules": ["all-linear"]})[0] == {"lora_targets": "all-linear"}


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
        ("hub_token: hf_secret\n", "hub_token: tokens do not belong into files"),
        ("dataset_name: a\ndata: b\n", "data: it is given twice"),
        ("dtype: float8\n", "dtype: 'float8' is not one of auto, float32"),
        ("lora_r: many\n", "lora_rank: 'many' is not a int"),
        ("lora_target_modules: '['\n", r"lora_targets: '\[' is not a pattern"),
    ],
)
def test_what_byorn_does_not_do_is_refused_with_the_way_out(yaml, message, tmp_path):
    with pytest.raises(ConfigError, match=f"sft.yaml: {message}") as refusal:
        parsed(tmp_path, yaml)
    assert "\n" not in str(refusal.value)


def test_nothing_is_pushed_unless_it_is_asked_for():
    assert from_trl({"hub_model_id": "me/sft", "push_to_hub": False}) == ({}, [])
    assert from_trl({"hub_model_id": "me/sft"}) == ({}, [])
    assert from_trl({"push_to_hub": "me/sft"}) == ({"push_to_hub": "me/sft"}, [])


def test_other_commands_do_not_take_trl_s_keys(tmp_path):
    path = tmp_path / "scan.yaml"
    path.write_text("model_name_or_path: embedded\n")
    with pytest.raises(ConfigError, match="unknown option 'model_name_or_path'"):
        apply_config(build_parser(), ["scan", "--config", str(path)])


@pytest.mark.parametrize("recipe", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.name)
def test_a_recipe_is_a_valid_configuration(recipe, tmp_path):
    from byorn.pipeline.train import TrainSpec, build_config

    options = apply_config(build_parser(), ["train", "--config", str(recipe)])
    arguments = {**training_arguments(options), "bf16": False, "use_cpu": True}
    config = build_config(TrainSpec(percentile=options.percentile, arguments=arguments), tmp_path)
    assert config.learning_rate == 1e-4
    assert options.model
    assert options.data


def test_a_tracker_that_is_not_installed_is_said_before_anything_is_read(tmp_path, capsys):
    command = ["train", "--model", "embedded", "--data", str(tmp_path / "nowhere.json"), "--out", str(tmp_path / "run")]
    assert main([*command, "--set", "report_to=no-such-tracker"]) == 2
    assert "report_to: 'no-such-tracker' is not installed" in capsys.readouterr().err
    assert main([*command, "--set", "packing=true"]) == 2
    assert "packing: not possible" in capsys.readouterr().err
    assert main([*command, "--set", "push_to_hub=true"]) == 2
    assert "--set push_to_hub: write --push-to-hub NAME" in capsys.readouterr().err
    assert main([*command, "--set", "eval_strategy=steps"]) == 2
    assert "--set eval_strategy: byorn train has no evaluation set" in capsys.readouterr().err
    assert not list(tmp_path.glob("run/*"))
