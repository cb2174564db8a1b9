"""The keys of a YAML file for `trl sft --config`, as options of `byorn train`.

A key that is not in these tables and no option of byorn is a field of SFTConfig, which `ByornConfig` takes as it is.
"""

import re
from typing import Any

from byorn.errors import ConfigError

RENAMED = {
    "model_name_or_path": "model",
    "torch_dtype": "dtype",
    "attn_implementation": "attention",
    "dataset_name": "data",
    "dataset_config": "name",
    "dataset_train_split": "split",
    "max_seq_length": "max_length",
    "lora_r": "lora_rank",
    "lora_target_modules": "lora_targets",
    "output_dir": "out",
    "hub_private_repo": "hub_private",
    "warmup_ratio": "warmup_steps",  # transformers reads a number below 1 as a share of the steps
}

_EVALUATES = "byorn train has no evaluation set; run byorn evaluate on the adapter"
IGNORED = {
    "use_peft": "byorn always trains LoRA",
    "dataset_test_split": _EVALUATES,
    "eval_strategy": _EVALUATES,
    "evaluation_strategy": _EVALUATES,
    "eval_steps": _EVALUATES,
    "eval_on_start": _EVALUATES,
    "do_eval": _EVALUATES,
    "per_device_eval_batch_size": _EVALUATES,
    "dataset_text_field": "rows are read by their content",
    "dataset_kwargs": "rows are read by their content",
    "dataset_num_proc": "images are read while training; set dataloader_num_workers",
    "shuffle_dataset": "every epoch is shuffled",
    "ignore_bias_buffers": "not needed",
    "hub_strategy": "the adapter is pushed once, at the end",
    "hub_always_push": "the adapter is pushed once, at the end",
    "resume_from_checkpoint": "a killed run goes on from its last checkpoint when the same command is given again",
    "overwrite_output_dir": "nothing is overwritten; use another output_dir",
    "save_safetensors": "adapters are always safetensors",
}

_OWN_LORA = "not an option of byorn train; use ByornTrainer with a peft_config"
_OWN_MODEL = "not an option of byorn train; change the model's folder, or use ByornTrainer"
REFUSED = {
    "env": "set the variables in the shell, before the command",
    "datasets": "byorn train reads one data set; write dataset_name",
    "streaming": "rows are scored before training; remove it",
    "dataset_streaming": "rows are scored before training; remove it",
    "test_split_size": _EVALUATES,
    "load_best_model_at_end": _EVALUATES,
    "model_init_kwargs": "write dtype, attn_implementation and load_in_4bit beside it, not inside",
    "model_revision": "not an option of byorn train; download that revision and give its folder",
    "chat_template_path": _OWN_MODEL,
    "eos_token": _OWN_MODEL,
    "pad_token": _OWN_MODEL,
    "lora_target_parameters": _OWN_LORA,
    "lora_modules_to_save": _OWN_LORA,
    "lora_task_type": _OWN_LORA,
    "use_rslora": _OWN_LORA,
    "use_dora": _OWN_LORA,
    "use_bnb_nested_quant": "4 bits are nf4 without a second quantization; remove it",
    "bnb_4bit_quant_type": "4 bits are nf4 without a second quantization; remove it",
    "bnb_4bit_quant_storage": "4 bits are nf4 without a second quantization; remove it",
    "hub_token": "tokens do not belong into files; run `hf auth login`, or set HF_TOKEN",
    "hub_revision": "the adapter goes to the main branch; remove it",
}
# What these keys say by default is what byorn does.
HARMLESS = {"model_revision": "main", "lora_task_type": "CAUSAL_LM", "bnb_4bit_quant_type": "nf4", "use_peft": True}


def from_trl(values: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The options under byorn's names, and a line for each that has no effect here.

    Raises:
        ConfigError: A key asks for something that byorn does not do; the message names the way out.
    """
    values = {key: value for key, value in values.items() if not (key in HARMLESS and value == HARMLESS[key])}
    if values.get("use_peft") is False:
        raise ConfigError("use_peft: byorn trains LoRA adapters only; remove it, or set it to true")
    for key, fix in REFUSED.items():
        if values.get(key):
            raise ConfigError(f"{key}: {fix}")
    asked = {key: value for key, value in values.items() if value not in (None, False, "no")}
    notices = [f"{key} is ignored: {why}" for key, why in IGNORED.items() if key in asked]
    kept = {key: value for key, value in values.items() if key not in IGNORED and key not in REFUSED}
    return _renamed(_pushed(_quantized(kept))), notices


def _renamed(values: dict[str, Any]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for key, value in values.items():
        name = RENAMED.get(key, key)
        if name in options:
            raise ConfigError(f"{key}: it is given twice, also as {name}; keep one of them")
        options[name] = _pattern(value) if name == "lora_targets" else value
    return options


def _pattern(modules: Any) -> Any:
    """PEFT takes a list of names for the ends of module names; `lora_targets` is a regular expression for all of one."""
    if not isinstance(modules, list):
        return modules
    if modules == ["all-linear"]:
        return modules[0]
    return rf"(.*\.)?({'|'.join(re.escape(str(name)) for name in modules)})"


def _quantized(values: dict[str, Any]) -> dict[str, Any]:
    bits = {key: values.pop(key, False) for key in ("load_in_4bit", "load_in_8bit")}
    if all(bits.values()):
        raise ConfigError("load_in_8bit: load_in_4bit is given too; keep one of them")
    asked = next((key for key, value in bits.items() if value), None)
    return {**values, "quantize": asked.removeprefix("load_in_")} if asked else values


def _pushed(values: dict[str, Any]) -> dict[str, Any]:
    """`push_to_hub: true` and `hub_model_id: name`, or `push_to_hub: name`, as the name."""
    name, asked = values.pop("hub_model_id", None), values.pop("push_to_hub", None)
    if not asked:
        return values
    if asked is True and not name:
        raise ConfigError("push_to_hub: it needs a name; add hub_model_id: owner/name")
    return {**values, "push_to_hub": name if asked is True else asked}
