"""Qwen2.5-VL with random weights in any shape, and its processor: nothing is downloaded.

The time of a pass depends on sizes, not on what the weights say. But a random model hardly ever ends a response, and
most of what it says is no token of the small tokenizer that comes with it.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes of a language model and a vision tower."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    vocabulary: int
    vision_hidden: int
    vision_layers: int
    vision_intermediate: int
    vision_heads: int


SHAPES = {
    "tiny": Shape(
        hidden=128, layers=4, heads=2, kv_heads=1, intermediate=512, vocabulary=1024, vision_hidden=64,
        vision_layers=4, vision_intermediate=256, vision_heads=2,
    ),
    "small": Shape(
        hidden=384, layers=8, heads=6, kv_heads=2, intermediate=1536, vocabulary=32768, vision_hidden=192,
        vision_layers=4, vision_intermediate=768, vision_heads=3,
    ),
    # that of Qwen/Qwen2.5-VL-3B-Instruct
    "qwen2.5-vl-3b": Shape(
        hidden=2048, layers=36, heads=16, kv_heads=2, intermediate=11008, vocabulary=151936, vision_hidden=1280,
        vision_layers=32, vision_intermediate=3420, vision_heads=16,
    ),
}  # fmt: skip


def build_shape(shape: Shape, *, side: int, device: str, dtype: str) -> tuple[Any, Any]:
    """A model of a shape in eval mode, the same weights every time, and its processor for images of `side` pixels."""
    import torch
    from transformers import AutoModelForImageTextToText

    from byorn.testing import build_family

    tiny, processor = build_family("qwen2_5_vl")
    processor.image_processor.size = {"shortest_edge": 56 * 56, "longest_edge": side**2}
    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForImageTextToText.from_config(resized(tiny.config, shape), dtype=getattr(torch, dtype))
    model.generation_config = tiny.generation_config
    return model.eval(), processor


def resized(tiny: Any, shape: Shape) -> Any:
    """The configuration of the tiny model, with the sizes of `shape`."""
    layers = shape.vision_layers
    vision = {
        "depth": layers, "hidden_size": shape.vision_hidden, "intermediate_size": shape.vision_intermediate,
        "num_heads": shape.vision_heads, "out_hidden_size": shape.hidden, "window_size": 112,
        "fullatt_block_indexes": list(range(layers // 4 - 1, layers, layers // 4)),
    }  # fmt: skip
    half = shape.hidden // shape.heads // 2
    rope = {"rope_type": "default", "mrope_section": [half - 2 * (3 * half // 8), 3 * half // 8, 3 * half // 8]}
    text = {
        "hidden_size": shape.hidden, "num_hidden_layers": shape.layers, "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads, "intermediate_size": shape.intermediate, "vocab_size": shape.vocabulary,
        "max_position_embeddings": 32768, "rope_parameters": {**rope, "rope_theta": 1e6}, "tie_word_embeddings": True,
        "layer_types": None,
    }  # fmt: skip
    vision, text = {**tiny.vision_config.to_dict(), **vision}, {**tiny.text_config.to_dict(), **text}
    return type(tiny).from_dict({**tiny.to_dict(), "vision_config": vision, "text_config": text})
