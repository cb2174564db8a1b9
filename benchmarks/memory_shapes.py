"""Qwen2.5-VL with random weights in any shape, its processor and rows, for `memory.py`; nothing is downloaded."""

import io
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Shape:
    """A model and what it is trained on. `image` is a side in pixels; prompt and response are in characters, a token
    or so each.
    """

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
    image: int
    prompt: int
    response: int
    batch: int
    accumulation: int
    epochs: int
    dtype: str


PRESETS = {
    "small": Shape(
        hidden=384, layers=8, heads=6, kv_heads=2, intermediate=1536, vocabulary=32768, vision_hidden=192,
        vision_layers=4, vision_intermediate=768, vision_heads=3, image=224, prompt=60, response=40, batch=4,
        accumulation=2, epochs=1, dtype="float32",
    ),
    # that of Qwen/Qwen2.5-VL-3B-Instruct
    "qwen2.5-vl-3b": Shape(
        hidden=2048, layers=36, heads=16, kv_heads=2, intermediate=11008, vocabulary=151936, vision_hidden=1280,
        vision_layers=32, vision_intermediate=3420, vision_heads=16, image=560, prompt=200, response=100, batch=8,
        accumulation=2, epochs=2, dtype="bfloat16",
    ),
}  # fmt: skip


def build(shape: Shape) -> tuple[Any, Any]:
    """A model of that shape on the first GPU, else the CPU, and its processor for images of that size."""
    import torch
    from transformers import AutoModelForImageTextToText

    from byorn.models.load import default_device
    from byorn.testing import build_family

    tiny, processor = build_family("qwen2_5_vl")
    processor.image_processor.size = {"shortest_edge": 56 * 56, "longest_edge": shape.image**2}
    torch.manual_seed(0)
    with torch.device(default_device()):
        model = AutoModelForImageTextToText.from_config(resized(tiny.config, shape), dtype=getattr(torch, shape.dtype))
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


def build_rows(shape: Shape, processor: Any) -> Any:
    """Five groups of rows, two of them flagged; all prompts have the same number of characters, and all responses."""
    from byorn.data.dataset import to_dataset
    from byorn.data.row import ImageFile, user_message
    from byorn.models.inputs import training_rows
    from byorn.testing import tiny_rows

    rows = [
        replace(
            row,
            prompt=[user_message((f"{index}, " * shape.prompt)[: shape.prompt], images=1)],
            response=(f"{index}; " * shape.response)[: shape.response],
            images=[ImageFile(data=picture(shape.image, index))],
        )
        for index, row in enumerate(tiny_rows(5 * shape.batch * shape.accumulation))
    ]
    return to_dataset(training_rows(rows, processor), [index % 5 < 2 for index in range(len(rows))])


def picture(side: int, seed: int) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (seed % 256, 40, 200)).save(buffer, "PNG")
    return buffer.getvalue()
