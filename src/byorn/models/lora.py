"""Where LoRA goes: the linear layers of the language model, found by structure, so that new families work without
code.
"""

import re
from typing import Any

from byorn.errors import ModelError


def language_prefix(model: Any) -> str:
    """The dotted name of the language model inside a vision-language model, found on the modules in memory.

    Raises:
        ModelError: No part of the model is recognisably its decoder.
    """
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    decoder = base.get_decoder() if hasattr(base, "get_decoder") else None
    for name, module in base.named_modules():
        if name and module is decoder and not _has_vision(module):
            return name
    for name, module in base.named_modules():
        if re.search(r"(^|\.)(language_model|text_model)$", name) and not _has_vision(module) and "vision" not in name:
            return name
    raise ModelError(
        "LoRA: the language model was not found in this architecture; pass a peft_config with target_modules"
    )


def _has_vision(module: Any) -> bool:
    return any(re.search(r"vision|visual", name) for name, _ in module.named_modules())


def lora_targets(model: Any) -> str:
    """A regular expression that matches every linear layer of the language model and nothing of the vision tower."""
    from torch import nn

    prefix = language_prefix(model)
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    leaves = {
        name.rpartition(".")[2]
        for name, module in base.named_modules()
        if name.startswith(f"{prefix}.") and isinstance(module, nn.Linear)
    }
    leaves.discard("lm_head")
    if not leaves:
        raise ModelError(f"LoRA: no linear layer below {prefix!r}; pass a peft_config with target_modules")
    return rf"{re.escape(prefix)}\..*\.({'|'.join(sorted(leaves))})"


def default_lora(model: Any, *, rank: int = 16, alpha: int | None = None, dropout: float = 0.0) -> Any:
    """A `LoraConfig` on the language model only; alpha defaults to twice the rank."""
    from peft import LoraConfig

    return LoraConfig(
        r=rank,
        lora_alpha=alpha or 2 * rank,
        lora_dropout=dropout,
        target_modules=lora_targets(model),
        task_type="CAUSAL_LM",
        bias="none",
    )
