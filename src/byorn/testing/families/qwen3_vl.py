"""Qwen3-VL: Qwen2.5-VL's chat without the default system message; features of several tower layers go into the
decoder.
"""

from byorn.testing.families.parts import HEADS, HIDDEN, TEXT, Family, random_model
from byorn.testing.families.qwen2_5_vl import CHAT, processor_of, vision_ids

PATCH = 16


def build() -> Family:
    """Like Qwen/Qwen3-VL-2B-Instruct."""
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration, Qwen3VLProcessor, Qwen3VLVideoProcessor

    processor = processor_of(Qwen3VLProcessor, Qwen3VLVideoProcessor, PATCH, CHAT)
    tokenizer = processor.tokenizer
    head, eighth = HIDDEN // HEADS, HIDDEN // HEADS // 16
    sections = [4 * eighth, 2 * eighth, 2 * eighth]
    rope = {"rope_type": "default", "mrope_section": sections, "mrope_interleaved": True, "rope_theta": 10000.0}
    config = Qwen3VLConfig(
        vision_config={
            "depth": 2, "hidden_size": HIDDEN, "intermediate_size": 2 * HIDDEN, "num_heads": 2, "patch_size": PATCH,
            "out_hidden_size": HIDDEN, "num_position_embeddings": 16, "deepstack_visual_indexes": [0],
        },
        text_config={**TEXT, "head_dim": head, "vocab_size": len(tokenizer), "rope_parameters": rope,
                     "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id},
        **vision_ids(processor),
    )  # fmt: skip
    return random_model(Qwen3VLForConditionalGeneration, config, tokenizer), processor
