"""Where the language model and the vision tower of a vision-language model are, found on the modules in memory: a new
family needs no code.
"""

import re
from collections.abc import Iterator
from typing import Any

from byorn.errors import ModelError

_NAMED = re.compile("vision|visual")


def without_adapter(model: Any) -> Any:
    """The model itself, or what PEFT wrapped."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def language_prefix(model: Any) -> str:
    """The dotted name of the language model: what transformers calls the decoder; else a part with the usual name; else
    the smallest part that holds the largest embedding table and a stack of layers. Never anything that sees.

    Raises:
        ModelError: No part of the model is recognizably its decoder.
    """
    base = without_adapter(model)
    for find in (_named_decoder, _usual_name, _around_vocabulary):
        if name := find(base):
            return name
    raise ModelError(
        "LoRA: the language model was not found in this architecture; pass a peft_config with target_modules"
    )


def vision_prefix(model: Any) -> str | None:
    """The dotted name of the vision tower: what transformers calls the image encoder, else the largest part beside the
    language model that sees and has a stack of layers; None if there is none.
    """
    base = without_adapter(model)
    language = language_prefix(model)
    encoder = base.get_encoder("image") if hasattr(base, "get_encoder") else None
    seeing: list[str] = [
        name
        for name, module in base.named_modules()
        if (_NAMED.search(name) or sees(module)) and _has_stack(module)
        if name and not inside(language, name) and not inside(name, language)
    ]
    named = [name for name in seeing if base.get_submodule(name) is encoder]
    found = named or sorted(seeing, key=lambda name: name.count("."))
    return found[0] if found else None


def linears(module: Any) -> Iterator[tuple[str, Any]]:
    """Names and linear layers, but for the one inside torch's own attention, which is never called as a layer. A layer
    that an adapter lies on has the name that it has without; the layers of the adapter are left out.
    """
    from torch import nn

    inert = {id(part.out_proj) for part in module.modules() if isinstance(part, nn.MultiheadAttention)}
    adapted = ""
    for name, part in module.named_modules():
        if adapted and name.startswith(adapted):
            continue
        layer = getattr(part, "base_layer", part)
        if layer is not part:
            adapted = f"{name}."
        if isinstance(layer, nn.Linear) and id(layer) not in inert:
            yield name, layer


def inside(prefix: str, name: str) -> bool:
    """Whether the module `name` is `prefix` or a part of it."""
    return name == prefix or name.startswith(f"{prefix}.")


def sees(module: Any) -> bool:
    """Whether the module is or holds a vision tower: by a part's name, or by a convolution over an image."""
    from torch import nn

    return any(_NAMED.search(name) or isinstance(part, nn.Conv2d | nn.Conv3d) for name, part in module.named_modules())


def _named_decoder(base: Any) -> str | None:
    decoder = base.get_decoder() if hasattr(base, "get_decoder") else None
    found = (name for name, module in base.named_modules() if name and module is decoder and not sees(module))
    return next(found, None)


def _usual_name(base: Any) -> str | None:
    name: str
    for name, module in base.named_modules():
        if re.search(r"(^|\.)(language_model|text_model)$", name) and not _NAMED.search(name) and not sees(module):
            return name
    return None


def _around_vocabulary(base: Any) -> str | None:
    """The part around the largest embedding table; where a tower lies in it as well, its only stack of layers."""
    from torch import nn

    tables = {name: module.num_embeddings for name, module in base.named_modules() if isinstance(module, nn.Embedding)}
    part = max(tables, key=tables.__getitem__, default="")
    while part and not _has_stack(base.get_submodule(part)):
        part = part.rpartition(".")[0]
    if not tables or (part and not sees(base.get_submodule(part))):
        return part or None
    children = [(name, child) for name, child in base.get_submodule(part).named_children() if _is_stack(child)]
    stacks = [name for name, child in children if not sees(child) and not _NAMED.search(name)]
    return f"{part}.{stacks[0]}".lstrip(".") if len(stacks) == 1 else None


def _is_stack(module: Any) -> bool:
    from torch import nn

    return isinstance(module, nn.ModuleList) and any(True for _ in linears(module))


def _has_stack(module: Any) -> bool:
    return any(_is_stack(part) for part in module.modules())
