"""SmolVLM: SigLIP with pixel shuffle, and a Llama decoder named `text_model`.

An image becomes rows and columns of tiles, each marked `<row_i_col_j>`, and the whole once more. A prompt ends with
`Assistant:`, so a response begins with a space. The processor needs the package num2words, and cannot tell how many
tokens an image takes without processing one.
"""

from typing import Any

from byorn.testing.families.parts import TEXT, VISION, Family, byte_tokenizer, ids_of, random_model

SIDE = 32
PATCH = 8
GRID = 2
SHUFFLE = 2
PLACES = tuple(f"<row_{row}_col_{column}>" for row in range(1, GRID + 1) for column in range(1, GRID + 1))
IMAGE = ("<fake_token_around_image>", "<image>", "<global-img>", *PLACES)
SPECIAL = ("<|im_start|>", "<|im_end|>", "<end_of_utterance>", *IMAGE)
TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}:"
    "{% if message['content'][0]['type'] != 'image' %}{{ ' ' }}{% endif %}{% for block in message['content'] %}"
    "{% if block['type'] == 'image' %}<image>{% elif block['type'] == 'text' %}{{ block['text'] }}{% endif %}"
    "{% endfor %}"
    "{{ '<end_of_utterance>\n' }}{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)


def build() -> Family:
    """The tiny model and its processor."""
    from transformers import (
        LlamaConfig,
        SmolVLMConfig,
        SmolVLMForConditionalGeneration,
        SmolVLMImageProcessor,
        SmolVLMProcessor,
        SmolVLMVideoProcessor,
    )
    from transformers.models.smolvlm.configuration_smolvlm import SmolVLMVisionConfig

    tokenizer = byte_tokenizer(
        SPECIAL, bos_token="<|im_start|>", eos_token="<end_of_utterance>", pad_token="<|im_end|>", image_token="<image>"
    )
    config = SmolVLMConfig(
        vision_config=SmolVLMVisionConfig(**VISION, image_size=SIDE, patch_size=PATCH),
        text_config=LlamaConfig(**TEXT, vocab_size=len(tokenizer), **ids_of(tokenizer)),
        image_token_id=tokenizer.image_token_id, scale_factor=SHUFFLE,
    )  # fmt: skip
    sizes: dict[str, Any] = {"size": {"longest_edge": GRID * SIDE}, "max_image_size": {"longest_edge": SIDE}}
    processor = SmolVLMProcessor(
        SmolVLMImageProcessor(**sizes), tokenizer, SmolVLMVideoProcessor(**sizes),
        image_seq_len=(SIDE // PATCH // SHUFFLE) ** 2, chat_template=TEMPLATE,
    )  # fmt: skip
    return random_model(SmolVLMForConditionalGeneration, config, tokenizer), processor
