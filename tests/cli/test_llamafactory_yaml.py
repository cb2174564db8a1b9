"""YAML files for `llamafactory-cli train` drive `byorn scan` and `byorn train`."""

import re
import shlex
from pathlib import Path

import pytest
from parsing import values_of, values_with

from byorn.cli.train import training_arguments
from byorn.data.spec import DataSpec
from byorn.errors import ConfigError
from byorn.models.spec import LoraSpec, ModelSpec
from byorn.settings import build

LLAMAFACTORY = """
model_name_or_path: Qwen/Qwen2.5-VL-7B-Instruct
image_max_pixels: 262144
video_max_pixels: 16384
trust_remote_code: true
stage: sft
do_train: true
finetuning_type: lora
lora_rank: 8
lora_target: all
dataset: mllm_demo,identity
dataset_dir: LLaMA-Factory/data
template: qwen2_vl
cutoff_len: 2048
max_samples: 1000
overwrite_cache: true
preprocessing_num_workers: 16
dataloader_num_workers: 4
output_dir: saves/qwen2_5vl-7b/lora/sft
logging_steps: 10
save_steps: 500
plot_loss: true
overwrite_output_dir: true
save_only_model: false
report_to: none
per_device_train_batch_size: 1
gradient_accumulation_steps: 8
learning_rate: 1.0e-4
num_train_epochs: 3.0
lr_scheduler_type: cosine
warmup_ratio: 0.1
bf16: true
ddp_timeout: 180000000
resume_from_checkpoint: null
flash_attn: fa2
enable_liger_kernel: false
use_fast_tokenizer: true
print_param_status: true
quantization_bit: 4
quantization_method: bnb
quantization_type: nf4
double_quantization: false
val_size: 0.1
eval_strategy: steps
"""


def test_a_file_for_llamafactory_becomes_the_options_of_byorn(tmp_path, capsys):
    values = values_with(tmp_path, "train", LLAMAFACTORY)
    data, model = build(DataSpec, values), build(ModelSpec, values)
    assert (data.source, data.name, data.max_length, data.limit) == (
        "LLaMA-Factory/data",
        "mllm_demo,identity",
        2048,
        1000,
    )
    assert (model.trust_remote_code, model.quantize, model.attention) == (True, "4bit", "flash_attention_2")
    assert build(LoraSpec, values) == LoraSpec(rank=8)
    assert (values["out"], values["val_size"]) == (Path("saves/qwen2_5vl-7b/lora/sft"), 0.1)
    assert training_arguments(values) == {
        "dataloader_num_workers": 4, "logging_steps": 10, "save_steps": 500, "report_to": "none",
        "per_device_train_batch_size": 1,
        "gradient_accumulation_steps": 8, "learning_rate": 1e-4, "num_train_epochs": 3.0, "lr_scheduler_type": "cosine",
        "warmup_steps": 0.1,
        "bf16": True, "ddp_timeout": 180000000, "eval_strategy": "steps", "save_only_model": False,
        "use_liger_kernel": False,
    }  # fmt: skip
    said = " ".join(capsys.readouterr().err.split())
    assert "template is ignored: the chat template is the model's own" in said
    assert "use_fast_tokenizer is ignored: the tokenizer is the one that the model comes with" in said
    assert "print_param_status is ignored: which layers are trained is said in one line" in said
    assert "image_max_pixels is ignored: the model's own processor says how large images are; max_pixels" in said


def test_the_file_of_a_training_is_that_of_its_scan_too(tmp_path, capsys):
    values = values_with(tmp_path, "scan", LLAMAFACTORY)
    data, model = build(DataSpec, values), build(ModelSpec, values)
    assert (data.source, data.name, data.limit) == ("LLaMA-Factory/data", "mllm_demo,identity", 1000)
    assert (model.name, model.trust_remote_code, values["out"]) == (
        "Qwen/Qwen2.5-VL-7B-Instruct",
        True,
        Path("runs/scan"),
    )
    training = values_with(tmp_path, "train", LLAMAFACTORY)
    assert (data, model) == (build(DataSpec, training), build(ModelSpec, training))
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "left out here" in line]
    assert "left out here: lora_rank, dataloader_num_workers, output_dir, " in line
    assert line.endswith(" more")


def test_other_commands_say_which_options_they_need_of_a_file_for_another_trainer(tmp_path):
    with pytest.raises(ConfigError) as refused:
        values_with(tmp_path, "evaluate", LLAMAFACTORY)
    before, _, options = str(refused.value).partition("; here write ")
    assert before.endswith("model_name_or_path: files for `trl sft` and LLaMA-Factory are for byorn train and scan")
    assert values_of("evaluate", *shlex.split(options))["name"] == "mllm_demo,identity"


def test_what_llamafactory_spells_in_two_ways_means_the_same(tmp_path):
    values = values_with(tmp_path, "train", "dataset: [a, b]\nval_size: 0.0\nlora_target: q_proj, v_proj\n")
    assert (values["name"], values["data"], "val_size" in values) == ("a,b", "data", False)
    with pytest.raises(ConfigError, match="warmup_steps: it is given twice, also as warmup_ratio"):
        values_with(tmp_path, "train", "warmup_ratio: 0.1\nwarmup_steps: 5\n")
    turns = [values_with(tmp_path, "train", f"mask_history: {word}\n")["turns"] for word in ("true", "false")]
    assert turns == ["last", "all"]


def test_what_llamafactory_does_by_default_is_no_stranger(tmp_path, capsys):
    defaults = "mix_strategy: concat\nignore_pad_token_for_loss: true\ndefault_system: null\nrope_scaling: null\n"
    defaults += "upcast_layernorm: false\npure_bf16: false\ncreate_new_adapter: false\n"
    values = values_with(tmp_path, "train", defaults)
    assert (training_arguments(values), values.get("dtype"), capsys.readouterr().err) == ({}, None, "")
    values = values_with(tmp_path, "train", "enable_thinking: true\ncreate_new_adapter: true\nimage_resolution: 512\n")
    assert training_arguments(values) == {}
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(".yaml: ")[2].partition(":")[0] for line in said] == [
        f"{key} is ignored" for key in ("image_resolution", "enable_thinking", "create_new_adapter")
    ]


def test_what_makes_llamafactory_faster_has_no_effect_here_and_is_said(tmp_path, capsys):
    keys = ("use_unsloth", "use_unsloth_gc", "low_cpu_mem_usage", "data_shared_file_system", "compute_accuracy")
    values = values_with(tmp_path, "train", "".join(f"{key}: true\n" for key in keys))
    assert training_arguments(values) == {}
    said = capsys.readouterr().err
    assert all(f"{key} is ignored" in said for key in keys)


@pytest.mark.parametrize(("disabled", "checkpointing"), [("true", False), ("false", True)])
def test_activation_checkpointing_is_off_where_it_is_disabled(disabled, checkpointing, tmp_path):
    values = values_with(tmp_path, "train", f"disable_gradient_checkpointing: {disabled}\n")
    assert training_arguments(values) == {"gradient_checkpointing": checkpointing}


@pytest.mark.parametrize("key", ["stage", "finetuning_type", "use_unsloth", "use_muon"])
def test_a_key_of_llamafactory_given_as_an_argument_names_the_way_out(key):
    with pytest.raises(ConfigError, match=f"--set {key}: "):
        training_arguments(values_of("train", "--set", f"{key}=other"))


def test_a_training_purely_in_bfloat16_has_weights_of_that_type(tmp_path):
    for command in ("scan", "train"):
        assert values_with(tmp_path, command, "model_name_or_path: m\npure_bf16: true\n")["dtype"] == "bfloat16"


@pytest.mark.parametrize("target", ["q_proj, v_proj", "[q_proj, v_proj]"])
def test_named_layers_are_those_of_the_language_model_as_there(target, tmp_path):
    pattern = str(values_with(tmp_path, "train", f"freeze_vision_tower: true\nlora_target: {target}\n")["lora_targets"])
    names = ("model.language_model.layers.0.q_proj", "v_proj", "model.layers.1.my_q_proj")
    assert [bool(re.fullmatch(pattern, name)) for name in names] == [True, True, False]
    for tower in ("model.vision_tower.layers.0", "visual.blocks.0", "model.vision_model.encoder.layers.0"):
        assert not re.fullmatch(pattern, f"{tower}.q_proj")


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("stage: dpo\n", "stage: byorn train is supervised fine-tuning; use sft"),
        ("finetuning_type: full\n", "finetuning_type: byorn trains LoRA adapters only"),
        ("freeze_vision_tower: false\n", "freeze_vision_tower: .*write lora_vision: true"),
        ("flash_attn: fa9\n", "flash_attn: 'fa9' is unknown; use one of auto"),
        ("flash_attn: [fa2]\n", "flash_attn: .* is unknown; use one of auto"),
        ("freeze_language_model: true\n", "freeze_language_model: byorn adapts the language model"),
        ("train_on_prompt: true\n", "train_on_prompt: responses alone are scored and learned"),
        ("trust_remote_code: 'false'\n", "trust_remote_code: 'false' is not true or false"),
        ("adapter_name_or_path: saves/x\n", "adapter_name_or_path: .*remove it"),
        ("double_quantization: true\n", "double_quantization: .*without a second quantization"),
        ("quantization_type: fp4\n", "quantization_type: 4 bits are nf4; remove it"),
        ("quantization_method: hqq\n", "quantization_method: .*bitsandbytes; remove it"),
        ("mix_strategy: interleave_under\n", "mix_strategy: entries are read whole, .*; use concat"),
        ("interleave_probs: 0.7,0.3\n", "interleave_probs: entries are read whole, .*remove it"),
        ("default_system: Answer briefly.\n", "default_system: prompts are those of the rows; write it into them"),
        ("default_system: ''\n", "default_system: prompts are those of the rows"),  # which takes the model's own away
        ("enable_thinking: false\n", "enable_thinking: the chat template is the model's own; remove it"),
        ("rope_scaling: yarn\n", "rope_scaling: .*change the model's folder"),
        ("upcast_layernorm: true\n", "upcast_layernorm: .*write dtype: float32"),
        ("disable_gradient_checkpointing: 'yes'\n", "disable_gradient_checkpointing: 'yes' is not true or false"),
        ("use_muon: true\n", "use_muon: not an option of byorn train; write optim"),
        ("use_swanlab: true\n", "use_swanlab: write report_to: swanlab"),
        ("resize_vocab: true\n", "resize_vocab: .*change the model's folder"),
        ("moe_aux_loss_coef: 0.001\n", "moe_aux_loss_coef: .*remove it"),
        ("train_mm_proj_only: true\n", "train_mm_proj_only: byorn adapts the language model"),
        ("hf_hub_token: hf_x\n", "hf_hub_token: tokens do not belong into files"),
        ("early_stopping_steps: 3\n", "early_stopping_steps: .*EarlyStoppingCallback"),
        ("ignore_pad_token_for_loss: false\n", "ignore_pad_token_for_loss: padding is never learned"),
        ("pure_bf16: 'false'\n", "pure_bf16: 'false' is not true or false"),
        ("pure_bf16: true\ndtype: float32\n", "pure_bf16: it is given twice, also as dtype"),
        ("quantization_bit: 3\n", "quantize: '3bit' is not one of none, 4bit, 8bit"),
    ],
)
def test_what_llamafactory_can_and_byorn_cannot_is_refused_with_the_way_out(yaml, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        values_with(tmp_path, "train", yaml)
