"""LLaVA-OneVision: a SigLIP tower and Qwen2; one image becomes tiles, several images of a row one tile each."""

from typing import TYPE_CHECKING

from byorn.testing.families.parts import TEXT, VISION, Family, byte_tokenizer, ids_of, random_model

if TYPE_CHECKING:
    from transformers import LlavaOnevisionProcessor

SIDE = 32
PATCH = 16
PINPOINTS = [[32, 32], [32, 64], [64, 32], [64, 64]]
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + ' ' }}"
    "{% for block in message['content'] if block['type'] == 'image' %}{{ '<image>' }}{% endfor %}"
    "{% for block in message['content'] if block['type'] == 'text' %}{{ '\n' + block['text'] }}{% endfor %}"
    "{{ '<|im_end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def build() -> Family:
    """Like llava-hf/llava-onevision-qwen2-0.5b-ov-hf."""
    from transformers import (
        LlavaOnevisionConfig,
        LlavaOnevisionForConditionalGeneration,
        Qwen2Config,
        SiglipVisionConfig,
    )

    processor = _processor()
    tokenizer = processor.tokenizer
    config = LlavaOnevisionConfig(
        vision_config=SiglipVisionConfig(**VISION, image_size=SIDE, patch_size=PATCH, vision_use_head=False),
        text_config=Qwen2Config(**TEXT, vocab_size=len(tokenizer), tie_word_embeddings=True, **ids_of(tokenizer)),
        image_token_index=processor.image_token_id,
        video_token_index=processor.video_token_id,
        image_grid_pinpoints=PINPOINTS,
    )
    return random_model(LlavaOnevisionForConditionalGeneration, config, tokenizer), processor


def _processor() -> "LlavaOnevisionProcessor":
    from transformers import LlavaOnevisionImageProcessor, LlavaOnevisionProcessor, LlavaOnevisionVideoProcessor

    tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>", "<video>"]
    size = {"height": SIDE, "width": SIDE}
    return LlavaOnevisionProcessor(
        image_processor=LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=PINPOINTS),
        tokenizer=byte_tokenizer(tokens, eos_token="<|im_end|>", pad_token="<|endoftext|>"),
        video_processor=LlavaOnevisionVideoProcessor(size=size),
        num_image_tokens=(SIDE // PATCH) ** 2,
        vision_feature_select_strategy="full",
        chat_template=TEMPLATE,
    )
