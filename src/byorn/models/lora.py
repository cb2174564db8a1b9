"""Where LoRA goes: the linear layers of the language model, and of the vision tower when asked."""

import re
from typing import Any

from byorn.errors import ModelError
from byorn.models.parts import inside, language_prefix, linears, vision_prefix, without_adapter
from byorn.models.spec import LoraSpec

# model types that the family matrix of the tests runs; of any other, `describe` says what was assumed
TESTED = (
    "llava", "llava_next", "llava_onevision", "qwen2_5_vl", "qwen3_vl", "internvl",
    "smolvlm", "idefics3", "gemma3", "paligemma", "mllama",
)  # fmt: skip

# between the name of a part and the last name of a layer
_ANYWHERE = r"\..*\."
_REPEATED = r"\.(?:.+\.)?[0-9]+\.(?:.+\.)?"


def lora_targets(model: Any, *, vision: bool = False) -> str:
    """A regular expression that matches every linear layer of the language model, and with `vision` those in the
    repeated layers of the vision tower (its other parts, as a pooling head, may stand idle); never the output head.

    Raises:
        ModelError: A part is not found, or has no linear layer.
    """
    language = _pattern(model, language_prefix(model), _ANYWHERE)
    if not vision:
        return language
    tower = vision_prefix(model)
    if tower is None:
        raise ModelError("LoRA: no vision tower was found in this architecture; pass a peft_config with target_modules")
    return f"{language}|{_pattern(model, tower, _REPEATED)}"


def default_lora(
    model: Any,
    *,
    rank: int = LoraSpec.rank,
    alpha: int | None = LoraSpec.alpha,
    dropout: float = LoraSpec.dropout,
    vision: bool = LoraSpec.vision,
) -> Any:
    """A `LoraConfig` on the language model, with `vision` also on the tower; alpha defaults to twice the rank.

    Raises:
        ModelError: A part is not found, or has no linear layer.
    """
    from peft import LoraConfig

    return LoraConfig(
        r=rank,
        lora_alpha=alpha or 2 * rank,
        lora_dropout=dropout,
        target_modules=lora_targets(model, vision=vision),
        task_type="CAUSAL_LM",
        bias="none",
    )


def describe(model: Any, targets: str) -> str:
    """One line: how many linear layers of which parts `targets` hits, and what was assumed of a family not tested."""
    base = without_adapter(model)
    pattern = r"(?!.*lm_head$).*" if targets == "all-linear" else targets  # as PEFT reads it: all but the output head
    names = [name for name, _ in linears(base) if re.fullmatch(pattern, name)]
    counts = {part: sum(inside(part, name) for name in names) for part in _parts(model)}
    counts["other parts"] = len(names) - sum(counts.values())
    hits = " and ".join(f"{count} linear layers of {part}" for part, count in counts.items() if count)
    kind = getattr(getattr(base, "config", None), "model_type", type(base).__name__)
    assumed = "" if kind in TESTED else f" (found by structure: {kind!r} is not among the tested families)"
    return f"LoRA on {hits or 'no layer'}{assumed}"


def idle_layers(model: Any) -> list[str]:
    """Layers of a trained PEFT model whose adapter never moved: no gradient reached their B, which starts at zero."""
    return [
        name.partition(".lora_B.")[0].removeprefix("base_model.model.")
        for name, parameter in model.named_parameters()
        if ".lora_B.default." in name and not parameter.any()
    ]


def _pattern(model: Any, prefix: str, between: str) -> str:
    """Matches the linear layers below `prefix` whose path from there is `between` and a last name."""
    paths = [name.removeprefix(prefix) for name, _ in linears(without_adapter(model)) if name.startswith(f"{prefix}.")]
    leaves = {match[1] for path in paths if (match := re.fullmatch(rf"{between}([^.]+)", path))} - {"lm_head"}
    if not leaves:
        raise ModelError(f"LoRA: no linear layer below {prefix!r}; pass a peft_config with target_modules")
    return rf"{re.escape(prefix)}{between}({'|'.join(sorted(leaves))})"


def _parts(model: Any) -> list[str]:
    """The language model and the vision tower, as far as they are found."""
    try:
        return [part for part in (language_prefix(model), vision_prefix(model)) if part]
    except ModelError:
        return []
