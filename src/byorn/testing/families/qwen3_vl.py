"""Qwen3-VL: Qwen2.5-VL's chat without the default system message; features of several tower layers go into the
decoder.
"""

from typing import TYPE_CHECKING, Any

from byorn.testing.families.parts import HIDDEN, TEXT, Family, byte_tokenizer, random_model
from byorn.testing.families.qwen2_5_vl import CHAT, TOKENS

if TYPE_CHECKING:
    from transformers import Qwen3VLProcessor

PATCH = 16


def build() -> Family:
    """Like Qwen/Qwen3-VL-2B-Instruct."""
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    processor = _processor()
    tokenizer = processor.tokenizer
    rope = {"rope_type": "default", "mrope_section": [4, 2, 2], "mrope_interleaved": True, "rope_theta": 10000.0}
    config = Qwen3VLConfig(
        vision_config={
            "depth": 2, "hidden_size": HIDDEN, "intermediate_size": 2 * HIDDEN, "num_heads": 2, "patch_size": PATCH,
            "out_hidden_size": HIDDEN, "num_position_embeddings": 16, "deepstack_visual_indexes": [0],
        },
        text_config={**TEXT, "head_dim": 16, "vocab_size": len(tokenizer), "rope_parameters": rope,
                     "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id},
        image_token_id=processor.image_token_id,
        video_token_id=processor.video_token_id,
        vision_start_token_id=tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        vision_end_token_id=tokenizer.convert_tokens_to_ids("<|vision_end|>"),
    )  # fmt: skip
    return random_model(Qwen3VLForConditionalGeneration, config, tokenizer), processor


def _processor() -> "Qwen3VLProcessor":
    from transformers import Qwen2VLImageProcessor, Qwen3VLProcessor, Qwen3VLVideoProcessor

    size = {"shortest_edge": (2 * PATCH) ** 2, "longest_edge": (6 * PATCH) ** 2}
    shape: dict[str, Any] = {"patch_size": PATCH, "merge_size": 2, "temporal_patch_size": 2}
    return Qwen3VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=size, **shape),
        tokenizer=byte_tokenizer(TOKENS, eos_token="<|im_end|>", pad_token="<|endoftext|>"),
        video_processor=Qwen3VLVideoProcessor(size=size, **shape),
        chat_template=CHAT,
    )
