"""Tiny models of every family that byorn is tested on, built in memory: transformers' own configuration, model and
processor classes, the family's own special tokens and chat template, random weights.

Example:
    >>> model, processor = build_family("qwen2_5_vl")
"""

from importlib import import_module

from byorn.errors import ConfigError
from byorn.testing.families.parts import Family

FAMILIES: dict[str, str] = {
    name: f"{__name__}.{name}"
    for name in (
        "llava", "llava_next", "llava_onevision", "qwen2_5_vl", "qwen3_vl", "internvl",
        "smolvlm", "idefics3", "gemma3", "paligemma", "mllama",
    )
}  # fmt: skip


def build_family(name: str) -> Family:
    """The tiny model (eval mode, float32, the same weights every time) and the processor of a family.

    Raises:
        ConfigError: There is no such family.
    """
    if name not in FAMILIES:
        raise ConfigError(f"family: {name!r} is unknown; use one of {', '.join(FAMILIES)}")
    built: Family = import_module(FAMILIES[name]).build()
    return built
