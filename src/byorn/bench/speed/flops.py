"""Operations and bytes that a forward or backward pass cannot do without, from the sizes of a model.

A multiplication and an addition are two operations. With T tokens that are no padding, P pairs of a token and one that
it attends to, H positions whose next token is wanted and X pixel values:

    forward  = 2 (dense + adapter) T + 4 attention P + 2 head H + vision X
    backward = (2 dense + 4 adapter) T + 8 attention P + 2 head H

`dense` are the weights of the language model's linear layers, frozen, so that no gradient of theirs is computed;
`adapter` those of LoRA; `attention` is layers x heads x width of a head; `head` the weights of the output head. Vision
tower and projector, which differ by family and do not learn, are counted by torch on one row: `vision` a pixel value.
Norms, activations, softmax and the optimizer are left out, and so is what activation checkpointing computes again.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from byorn.models.cache import cache_bytes
from byorn.models.parts import inside, language_prefix, linears, without_adapter

if TYPE_CHECKING:
    from torch.utils.flop_counter import FlopCounterMode

FUSED = tuple(
    f"_scaled_dot_product_{kernel}"
    for kernel in ("flash_attention", "flash_attention_for_cpu", "efficient_attention", "cudnn_attention")
)


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Of a model.

    Attributes:
        dense, adapter, head, attention: See the module.
        vision: Operations for each pixel value.
        weights: Bytes of the language model's linear layers and the head.
        cache: Bytes of keys and values for each token.
    """

    dense: int
    adapter: int
    head: int
    attention: int
    vision: float
    weights: int
    cache: int


@dataclass(frozen=True, kw_only=True)
class Call:
    """What a forward pass is asked for.

    Attributes:
        tokens: New ones, without padding.
        pairs: Of a new token and one that it attends to, itself included.
        context: Tokens of all rows whose keys and values are read, new ones included.
        positions: Whose next token is wanted.
        pixels: Values of images.
    """

    tokens: int
    pairs: int
    context: int
    positions: float
    pixels: int = 0


def forward_flops(sizes: Sizes, call: Call, *, adapted: bool = True) -> float:
    """Operations of a forward pass; without `adapted` those of LoRA are left out, which may lie in the weights."""
    per_token = 2 * (sizes.dense + (sizes.adapter if adapted else 0))
    pairs, head = 4 * sizes.attention * call.pairs, 2 * sizes.head * call.positions
    return per_token * call.tokens + pairs + head + sizes.vision * call.pixels


def backward_flops(sizes: Sizes, call: Call) -> float:
    """Operations of a backward pass for the gradients of LoRA on the language model."""
    per_token = 2 * sizes.dense + 4 * sizes.adapter
    return per_token * call.tokens + 8 * sizes.attention * call.pairs + 2 * sizes.head * call.positions


def read_bytes(sizes: Sizes, call: Call) -> float:
    """Bytes that a forward pass reads: all weights once, and keys and values."""
    return sizes.weights + sizes.cache * call.context


def sizes_of(model: Any, *, adapter: int, inputs: Any) -> Sizes:
    """The sizes of a model.

    Args:
        model: In eval mode.
        adapter: Weights that LoRA will have.
        inputs: A row with its images as the model takes it, to count what sees.
    """
    base = without_adapter(model)
    config, head, part = base.config.get_text_config(), base.get_output_embeddings(), language_prefix(base)
    dense = [layer for name, layer in linears(base) if inside(part, name) and layer is not head]
    heads = config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    return Sizes(
        dense=sum(layer.in_features * layer.out_features for layer in dense),
        adapter=adapter,
        head=head.in_features * head.out_features,
        attention=config.num_hidden_layers * heads * width,
        vision=_vision(base, inputs),
        weights=sum(layer.weight.nbytes for layer in (*dense, head)),
        cache=cache_bytes(base),
    )


def _vision(base: Any, inputs: Any) -> float:
    """Operations of whatever lies beside the language model, for each pixel value."""
    import torch

    inner, language = base.base_model, language_prefix(base)
    below = "" if inner is base else f"{base.base_model_prefix}."
    with torch.no_grad(), counting() as counter:
        base(**inputs)
    counts = counter.get_flop_counts()
    seeing = [name for name, _ in inner.named_children() if not inside(f"{below}{name}", language)]
    total = sum(sum(counts.get(f"{type(base).__name__}.{below}{name}", {}).values()) for name in seeing)
    return total / inputs["pixel_values"].numel() if "pixel_values" in inputs else 0.0


@contextmanager
def counting() -> "Iterator[FlopCounterMode]":
    """Torch's counter, with attention counted by its queries: torch's own count does not know the fused kernel of
    CPUs, and asks for as many heads of keys as of queries.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    def attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
        *heads, new, width = query
        flops: int = 2 * math.prod(heads) * new * key[-2] * (width + value[-1])
        return flops

    mapping = {getattr(torch.ops.aten, kernel): attention for kernel in FUSED}
    with FlopCounterMode(display=False, custom_mapping=mapping) as counter:
        yield counter
