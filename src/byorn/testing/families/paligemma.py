"""PaliGemma: SigLIP, and a Gemma decoder that reads the prompt in both directions and the response from left to right.

Which is which stands in `token_type_ids`, so the response goes into the processor as a `suffix`, never on its own.
Every row needs an image, there are no turns, and real checkpoints have no chat template: the one here is what a user
would add. The processor writes the beginning of text behind the images and a line break behind the prompt.
"""

from byorn.testing.families.parts import TEXT, VISION, Family, byte_tokenizer, ids_of, random_model

SPECIAL = ("<pad>", "<eos>", "<bos>", "<image>")
SIDE = 32
PATCH = 8
TEMPLATE = (
    "{% for message in messages %}{% for block in message['content'] %}{% if block['type'] == 'image' %}<image>"
    "{% elif block['type'] == 'text' %}{{ block['text'] }}{% endif %}{% endfor %}"
    "{% if message['role'] == 'assistant' %}<eos>{% endif %}{% endfor %}"
)


def build() -> Family:
    """The tiny model and its processor."""
    from transformers import (
        GemmaConfig,
        PaliGemmaConfig,
        PaliGemmaForConditionalGeneration,
        PaliGemmaProcessor,
        SiglipImageProcessor,
        SiglipVisionConfig,
    )

    tokenizer = byte_tokenizer(SPECIAL, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>", image_token="<image>")
    images = SiglipImageProcessor(size={"height": SIDE, "width": SIDE}, image_seq_length=(SIDE // PATCH) ** 2)
    processor = PaliGemmaProcessor(images, tokenizer, chat_template=TEMPLATE)
    width = TEXT["hidden_size"]
    config = PaliGemmaConfig(
        text_config=GemmaConfig(**TEXT, vocab_size=len(tokenizer), head_dim=16, **ids_of(tokenizer)),
        vision_config=SiglipVisionConfig(**VISION, image_size=SIDE, patch_size=PATCH, vision_use_head=False),
        image_token_index=tokenizer.image_token_id, projection_dim=width, hidden_size=width,
    )  # fmt: skip
    return random_model(PaliGemmaForConditionalGeneration, config, tokenizer), processor
