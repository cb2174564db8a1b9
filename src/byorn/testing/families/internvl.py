"""InternVL 3: a ViT whose patches are merged four to one, and a Qwen2 decoder.

An image becomes a grid of tiles near its shape (and the whole once more where there are several), `image_seq_length`
tokens each, between `<img>` and `</img>`. The template writes a line break after each image and each end of turn.
"""

from typing import Any

from byorn.testing.families.parts import TEXT, VISION, Family, byte_tokenizer, ids_of, random_model

NAMED: dict[str, Any] = {
    "start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>",
    "video_token": "<video>",
}  # fmt: skip
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", *NAMED.values())
SIDE = 32
PATCH = 8
TILES = 3
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}{% for block in message['content'] %}"
    "{% if block['type'] == 'image' %}{{ '<IMG_CONTEXT>\n' }}{% elif block['type'] == 'text' %}{{ block['text'] }}"
    "{% endif %}"
    "{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% endif %}"
)


def build() -> Family:
    """The tiny model and its processor."""
    from transformers import (
        GotOcr2ImageProcessor,
        InternVLConfig,
        InternVLForConditionalGeneration,
        InternVLProcessor,
        InternVLVideoProcessor,
        InternVLVisionConfig,
        Qwen2Config,
    )

    tokenizer = byte_tokenizer(SPECIAL, eos_token="<|im_end|>", pad_token="<|endoftext|>", **NAMED)
    tokens = (SIDE // PATCH) ** 2 // 4  # of a tile
    config = InternVLConfig(
        vision_config=InternVLVisionConfig(**VISION, image_size=SIDE, patch_size=PATCH),
        text_config=Qwen2Config(**TEXT, vocab_size=len(tokenizer), tie_word_embeddings=True, **ids_of(tokenizer)),
        image_token_id=tokenizer.context_image_token_id, image_seq_length=tokens,
    )  # fmt: skip
    size = {"height": SIDE, "width": SIDE}
    processor = InternVLProcessor(
        image_processor=GotOcr2ImageProcessor(size=size, crop_to_patches=True, max_patches=TILES), tokenizer=tokenizer,
        video_processor=InternVLVideoProcessor(size=size), image_seq_length=tokens, chat_template=TEMPLATE,
    )  # fmt: skip
    return random_model(InternVLForConditionalGeneration, config, tokenizer), processor
