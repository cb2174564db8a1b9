"""The keys of YAML files for `trl sft --config` and `llamafactory-cli train`, as options of `byorn train`.

A key that is not in these tables and no option of byorn is a field of SFTConfig, which `ByornConfig` takes as it is.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches

from byorn.errors import ConfigError
from byorn.runs.narrate import say
from byorn.settings import unknown
from byorn.training.limits import TRUTHS

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
    "evaluation_strategy": "eval_strategy",
    "no_cuda": "use_cpu",
    # LLaMA-Factory
    "dataset_dir": "data",
    "dataset": "name",
    "cutoff_len": "max_length",
    "max_samples": "limit",
    "lora_target": "lora_targets",
    "media_dir": "image_root",
    "enable_liger_kernel": "use_liger_kernel",
    "pure_bf16": "dtype",
}

_TEMPLATE = "the chat template is the model's own"
_PIXELS = "the model's own processor says how large images are; max_pixels reduces them"
IGNORED = {
    "use_peft": "byorn always trains LoRA",
    "dataset_test_split": "give the rows as eval_data, or hold some out with val_size",
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
    "logging_dir": "TensorBoard writes beside the checkpoints; set TENSORBOARD_LOGGING_DIR for another folder",
    "group_by_length": "rows with images have no length before they are read, and flagged ones are in steps of their "
    "own",
    # LLaMA-Factory
    "do_train": "byorn train trains",
    "image_max_pixels": _PIXELS,
    "image_resolution": _PIXELS,  # pixels, or the longer side, as the version of LLaMA-Factory has it
    "image_min_pixels": "the model's own processor says how large images are",
    "video_max_pixels": "rows have images, not videos",
    "video_min_pixels": "rows have images, not videos",
    "video_fps": "rows have images, not videos",
    "video_maxlen": "rows have images, not videos",
    "video_resolution": "rows have images, not videos",
    "cache_dir": "models are cached where HF_HOME says",
    "tokenized_path": "rows are read anew, quickly",
    "preprocessing_batch_size": "rows are read anew, quickly",
    "template": _TEMPLATE,
    "enable_thinking": _TEMPLATE,
    "overwrite_cache": "rows are read anew, quickly",
    "preprocessing_num_workers": "images are read while training; set dataloader_num_workers",
    "plot_loss": "the losses are in training.json",
    "use_fast_tokenizer": "the tokenizer is the one that the model comes with",
    "print_param_status": "which layers are trained is said in one line",
    "freeze_vision_tower": "only the language model is adapted",
    "freeze_multi_modal_projector": "only the language model is adapted",
    "create_new_adapter": "every training begins with a new adapter",
}

_OWN_LORA = "not an option of byorn train; use ByornTrainer with a peft_config"
_OWN_MODEL = "not an option of byorn train; change the model's folder, or use ByornTrainer"
REFUSED = {
    "env": "set the variables in the shell, before the command",
    "datasets": "byorn train reads one data set; write dataset_name",
    "streaming": "rows are scored before training; remove it",
    "dataset_streaming": "rows are scored before training; remove it",
    "test_split_size": "write val_size",
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
    # LLaMA-Factory
    "eval_dataset": "give the path of the evaluation rows as eval_data",
    "adapter_name_or_path": "byorn starts from the pretrained model, which it takes for clean; remove it",
    "interleave_probs": "entries are read whole, one after the other; remove it",
    "rope_scaling": _OWN_MODEL,
    "upcast_layernorm": "layers have the type of the weights; remove it, or write dtype: float32 for all of them",
    "train_on_prompt": "responses alone are scored and learned; remove it",
    "neat_packing": "packing is not possible where rows have images; remove it",
    "use_galore": _OWN_LORA,
    "pissa_init": _OWN_LORA,
    "loraplus_lr_ratio": _OWN_LORA,
    "additional_target": _OWN_LORA,
    "double_quantization": "4 bits are nf4 without a second quantization; remove it, or set it to false",
    "quantization_type": "4 bits are nf4; remove it",
    "quantization_method": "bits are those of bitsandbytes; remove it",
}
# What these keys say by default is what byorn does.
HARMLESS = {
    "model_revision": "main",
    "lora_task_type": "CAUSAL_LM",
    "bnb_4bit_quant_type": "nf4",
    "use_peft": True,
    "val_size": 0,
    "quantization_type": "nf4",
    "quantization_method": "bnb",
}
# What these keys may say alone, and the way out.
ONLY = {
    "use_peft": (True, "byorn trains LoRA adapters only; remove it, or set it to true"),
    "stage": ("sft", "byorn train is supervised fine-tuning; use sft"),
    "finetuning_type": ("lora", "byorn trains LoRA adapters only; use lora"),
    "freeze_language_model": (
        False,
        "byorn adapts the language model; remove it, or name other layers in lora_targets",
    ),
    "do_train": (True, "byorn train trains; use byorn evaluate to evaluate"),
    "freeze_vision_tower": (True, "to adapt the vision tower, write lora_vision: true instead"),
    "freeze_multi_modal_projector": (True, "to adapt the projector, name its layers in lora_targets"),
    "mix_strategy": ("concat", "entries are read whole, one after the other, and shuffled; use concat"),
    "ignore_pad_token_for_loss": (True, "padding is never learned; remove it, or set it to true"),
    "enable_thinking": (True, f"{_TEMPLATE}; remove it, or change the template in the model's folder"),
    "default_system": (None, "prompts are those of the rows; write it into them, as a system message or column"),
}
NOT_SEEING = "(?!.*(?:vision|visual))"
"""LLaMA-Factory keeps its LoRA out of the vision tower also where the tower has layers of the names that are given."""
SWITCHES = ("load_in_4bit", "load_in_8bit", "mask_history", "pure_bf16")
KEYS = frozenset({*RENAMED, *IGNORED, *REFUSED, *ONLY, *SWITCHES, "flash_attn", "quantization_bit", "hub_model_id"})
"""Every key of these files that is no option of byorn."""
ATTENTION = {"auto": None, "disabled": "eager", "sdpa": "sdpa", "fa2": "flash_attention_2", "fa3": "flash_attention_3"}


def to_byorn(content: Mapping[str, object], where: str) -> dict[str, object]:
    """The values of a file under byorn's names; a line is said for each that has no effect here.

    Raises:
        ConfigError: A key asks for something that byorn does not do; the message names the way out.
    """
    values, notices = translate(with_underscores(content))
    for notice in notices:
        say(f"--config {where}: {notice}")
    return values


def refuse_slips(names: Iterable[str], options: Collection[str]) -> None:
    """Name the key that was meant where an option or a key of another trainer is misspelled; other names are left to
    `ByornConfig`.

    Raises:
        ConfigError: A name is nearly such a key, and no field of `ByornConfig`.
    """
    for name in names:
        if name not in KEYS and get_close_matches(name, {*options, *KEYS}, n=1, cutoff=0.8):
            refuse_strangers([name], options)


def refuse_strangers(names: Iterable[str], options: Collection[str]) -> None:
    """Name the key that was meant by the first that is neither an option nor a field of `ByornConfig`."""
    from byorn.training.config import ByornConfig  # imports TRL, which takes seconds

    fields = ByornConfig.__dataclass_fields__.keys()
    if unfit := sorted(set(names) - fields):
        raise ConfigError(unknown("option", unfit[0], {*options, *KEYS, *fields}))


def with_underscores(content: Mapping[str, object]) -> dict[str, object]:
    """The values under keys with `_`, as byorn and other trainers write them.

    Raises:
        ConfigError: A key is given in both spellings.
    """
    given: dict[str, object] = {}
    for key, value in content.items():
        name = key.replace("-", "_")
        if name in given:
            raise ConfigError(f"{key}: it is given twice, with - and with _; keep one of them")
        given[name] = value
    return given


def translate(content: Mapping[str, object]) -> tuple[dict[str, object], list[str]]:
    """The options under byorn's names, and a line for each that has no effect here."""
    for key, (only, fix) in ONLY.items():
        if key in content and content[key] not in (only, None):
            raise ConfigError(f"{key}: {fix}")
    for key in SWITCHES:
        if not isinstance(content.get(key, False), bool | None):
            raise ConfigError(f"{key}: {content[key]!r} is not true or false")
    values = {key: value for key, value in content.items() if HARMLESS.get(key) != value}
    for key, fix in REFUSED.items():
        if values.get(key):
            raise ConfigError(f"{key}: {fix}")
    asked = {key: value for key, value in values.items() if value not in (None, False, "no")}
    notices = [f"{key} is ignored: {why}" for key, why in IGNORED.items() if key in asked]
    kept = {key: value for key, value in values.items() if key not in (*IGNORED, *REFUSED, *ONLY)}
    return _renamed(_pushed(_quantized(_of_llamafactory(kept)))), notices


def _of_llamafactory(values: dict[str, object]) -> dict[str, object]:
    """Keys whose values LLaMA-Factory spells in its own way."""
    values = dict(values)
    if "dataset" in values:
        values.setdefault("dataset_dir", "data")
        if isinstance(names := values["dataset"], list):
            values["dataset"] = ",".join(map(str, names))
    if "mask_history" in values:
        values["turns"] = "last" if values.pop("mask_history") else "all"
    if "flash_attn" in values:
        kernel = str(values.pop("flash_attn"))
        if kernel not in ATTENTION:
            raise ConfigError(f"flash_attn: {kernel!r} is unknown; use one of {', '.join(ATTENTION)}")
        values["attention"] = ATTENTION[kernel]
    if values.pop("pure_bf16", False):
        values["pure_bf16"] = "bfloat16"
    if bits := values.pop("quantization_bit", None):
        values["quantize"] = f"{bits}bit"
    target = values.get("lora_target")
    if target == "all":
        values.pop("lora_target")
    elif target:
        names = target if isinstance(target, list) else [name.strip() for name in str(target).split(",")]
        values["lora_target"] = f"{NOT_SEEING}{_pattern(names)}"
    return values


def _renamed(values: dict[str, object]) -> dict[str, object]:
    options: dict[str, object] = {}
    for key, value in values.items():
        name = RENAMED.get(key, key)
        if name in options:
            other = next(before for before in values if RENAMED.get(before, before) == name)
            raise ConfigError(f"{key}: it is given twice, also as {other}; keep one of them")
        options[name] = _pattern(value) if name == "lora_targets" else value
    return options


def _pattern(modules: object) -> object:
    """PEFT takes a list of names for the ends of module names; `lora_targets` is a regular expression for all of
    one.
    """
    if not isinstance(modules, list):
        return modules
    if modules == ["all-linear"]:
        return modules[0]
    return rf"(.*\.)?({'|'.join(re.escape(str(name)) for name in modules)})"


def _quantized(values: dict[str, object]) -> dict[str, object]:
    bits = {key: values.pop(key, False) for key in ("load_in_4bit", "load_in_8bit")}
    if all(bits.values()):
        raise ConfigError("load_in_8bit: load_in_4bit is given too; keep one of them")
    asked = next((key for key, value in bits.items() if value), None)
    return {**values, "quantize": asked.removeprefix("load_in_")} if asked else values


def _pushed(values: dict[str, object]) -> dict[str, object]:
    """`push_to_hub: true` and `hub_model_id: name`, or `push_to_hub: name`, as the name."""
    name = values.pop("hub_model_id", None)
    asked = values.pop("push_to_hub", None)
    if not asked:
        return values
    if str(asked).lower() in TRUTHS and asked is not True:
        raise ConfigError(f"push_to_hub: {asked!r} is no name; write true or false without quotes, or owner/name")
    if asked is True and not name:
        raise ConfigError("push_to_hub: it needs a name; add hub_model_id: owner/name")
    return {**values, "push_to_hub": name if asked is True else asked}
