"""YAML files for `trl sft --config` and `llamafactory-cli train`, as options of `byorn train`.

A key that is not in the tables and no option of byorn is a field of SFTConfig, which `ByornConfig` takes as it is.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches

from byorn.cli.foreign_tables import HARMLESS, IGNORED, ONLY, REFUSED, RENAMED
from byorn.errors import ConfigError
from byorn.runs.narrate import say
from byorn.settings import unknown
from byorn.training.limits import TRUTHS

NOT_SEEING = "(?!.*(?:vision|visual))"
"""LLaMA-Factory keeps its LoRA out of the vision tower also where the tower has layers of the names that are given."""
SWITCHES = ("load_in_4bit", "load_in_8bit", "mask_history", "pure_bf16", "disable_gradient_checkpointing")
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
    if "disable_gradient_checkpointing" in values:
        values["gradient_checkpointing"] = not values.pop("disable_gradient_checkpointing")
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
