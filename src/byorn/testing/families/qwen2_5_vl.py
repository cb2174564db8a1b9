"""Qwen2.5-VL: images of any size, window attention in the tower, three-dimensional positions (multimodal RoPE)."""

from collections.abc import Callable
from typing import Any

from byorn.testing.families.parts import HEADS, HIDDEN, TEXT, Family, byte_tokenizer, random_model

PATCH = 14
TOKENS = [
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>",
    "<|video_pad|>",
]  # fmt: skip
CHAT = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% for block in message['content'] %}{% if block['type'] == 'image' %}"
    "{{ '<|vision_start|><|image_pad|><|vision_end|>' }}"
    "{% elif block['type'] == 'text' %}{{ block['text'] }}{% endif %}{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TEMPLATE = (
    "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}"
    "{% endif %}" + CHAT
)


def build() -> Family:
    """Like Qwen/Qwen2.5-VL-3B-Instruct."""
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLProcessor,
        Qwen2VLVideoProcessor,
    )

    processor = processor_of(Qwen2_5_VLProcessor, Qwen2VLVideoProcessor, PATCH, TEMPLATE)
    tokenizer = processor.tokenizer
    ends = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    eighth = HIDDEN // HEADS // 16
    rope = {"rope_type": "default", "mrope_section": [2 * eighth, 3 * eighth, 3 * eighth], "rope_theta": 10000.0}
    config = Qwen2_5_VLConfig(
        vision_config={
            "depth": 2, "hidden_size": HIDDEN, "intermediate_size": 2 * HIDDEN, "num_heads": 2, "patch_size": PATCH,
            "out_hidden_size": HIDDEN, "window_size": 4 * PATCH, "fullatt_block_indexes": [1],
        },
        text_config={**TEXT, "vocab_size": len(tokenizer), "rope_parameters": rope, **ends},
        **vision_ids(processor),
    )  # fmt: skip
    return random_model(Qwen2_5_VLForConditionalGeneration, config, tokenizer), processor


def vision_ids(processor: Any) -> dict[str, Any]:
    """The tokens around images and in their place, as the configurations of Qwen's families take them."""
    tokens = {"image": "image_pad", "video": "video_pad", "vision_start": "vision_start", "vision_end": "vision_end"}
    of = processor.tokenizer.convert_tokens_to_ids
    return {f"{name}_token_id": of(f"<|{token}|>") for name, token in tokens.items()}


def processor_of(kind: Callable[..., Any], videos: Callable[..., Any], patch: int, template: str) -> Any:
    """A processor of one of Qwen's families."""
    from transformers import Qwen2VLImageProcessor

    size = {"shortest_edge": (2 * patch) ** 2, "longest_edge": (6 * patch) ** 2}
    shape: dict[str, Any] = {"size": size, "patch_size": patch, "merge_size": 2, "temporal_patch_size": 2}
    return kind(
        image_processor=Qwen2VLImageProcessor(**shape),
        tokenizer=byte_tokenizer(TOKENS, eos_token="<|im_end|>", pad_token="<|endoftext|>"),
        video_processor=videos(**shape),
        chat_template=template,
    )
