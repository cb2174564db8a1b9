"""Qwen2.5-VL: images of any size, window attention in the tower, three-dimensional positions (multimodal RoPE)."""

from typing import TYPE_CHECKING, Any

from byorn.testing.families.parts import HIDDEN, TEXT, Family, byte_tokenizer, random_model

if TYPE_CHECKING:
    from transformers import Qwen2_5_VLProcessor

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
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    processor = _processor()
    tokenizer = processor.tokenizer
    ends = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    rope = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0}
    config = Qwen2_5_VLConfig(
        vision_config={
            "depth": 2, "hidden_size": HIDDEN, "intermediate_size": 2 * HIDDEN, "num_heads": 2, "patch_size": PATCH,
            "out_hidden_size": HIDDEN, "window_size": 4 * PATCH, "fullatt_block_indexes": [1],
        },
        text_config={**TEXT, "vocab_size": len(tokenizer), "rope_parameters": rope, **ends},
        image_token_id=processor.image_token_id,
        video_token_id=processor.video_token_id,
        vision_start_token_id=tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        vision_end_token_id=tokenizer.convert_tokens_to_ids("<|vision_end|>"),
    )  # fmt: skip
    return random_model(Qwen2_5_VLForConditionalGeneration, config, tokenizer), processor


def _processor() -> "Qwen2_5_VLProcessor":
    from transformers import Qwen2_5_VLProcessor, Qwen2VLImageProcessor, Qwen2VLVideoProcessor

    size = {"shortest_edge": (2 * PATCH) ** 2, "longest_edge": (6 * PATCH) ** 2}
    shape: dict[str, Any] = {"patch_size": PATCH, "merge_size": 2, "temporal_patch_size": 2}
    return Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=size, **shape),
        tokenizer=byte_tokenizer(TOKENS, eos_token="<|im_end|>", pad_token="<|endoftext|>"),
        video_processor=Qwen2VLVideoProcessor(size=size, **shape),
        chat_template=TEMPLATE,
    )
