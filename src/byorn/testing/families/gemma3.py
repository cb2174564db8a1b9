"""Gemma 3: SigLIP pooled to a fixed number of tokens, and a decoder of sliding and full attention.

The tokens of one image attend to each other in both directions, which `token_type_ids` tell; pan and scan (crops of
long images) is off unless the processor says so. The template strips every text, folds the system message into the
first user turn and ends turns with `<end_of_turn>`, which is not the tokenizer's end of sequence.
"""

from byorn.testing.families.parts import TEXT, VISION, Family, byte_tokenizer, ids_of, random_model

SPECIAL = (
    "<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>",
    "<image_soft_token>",
)  # fmt: skip
SIDE = 32
PATCH = 8
TOKENS = 4
TEMPLATE = (
    "{{ bos_token }}{% set first = namespace(text='') %}{% for message in messages %}"
    "{% if message['role'] == 'system' %}"
    "{% set first.text = message['content'][0]['text'] + '\n\n' %}{% else %}"
    "{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else 'user') + '\n' + first.text }}"
    "{% set first.text = '' %}{% for block in message['content'] %}{% if block['type'] == 'image' %}<start_of_image>"
    "{% elif block['type'] == 'text' %}{{ block['text'] | trim }}{% endif %}{% endfor %}{{ '<end_of_turn>\n' }}"
    "{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)


def build() -> Family:
    """The tiny model and its processor."""
    from transformers import (
        Gemma3Config,
        Gemma3ForConditionalGeneration,
        Gemma3ImageProcessor,
        Gemma3Processor,
        Gemma3TextConfig,
        SiglipVisionConfig,
    )

    tokenizer = byte_tokenizer(
        SPECIAL, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>",
        boi_token="<start_of_image>", eoi_token="<end_of_image>", image_token="<image_soft_token>",
    )  # fmt: skip
    text = Gemma3TextConfig(
        **TEXT, vocab_size=len(tokenizer), head_dim=16, query_pre_attn_scalar=16, sliding_window=32,
        layer_types=["sliding_attention", "full_attention"], **ids_of(tokenizer),
    )  # fmt: skip
    config = Gemma3Config(
        text_config=text,
        vision_config=SiglipVisionConfig(**VISION, image_size=SIDE, patch_size=PATCH, vision_use_head=False),
        mm_tokens_per_image=TOKENS,
        boi_token_index=tokenizer.boi_token_id,
        eoi_token_index=tokenizer.eoi_token_id,
        image_token_index=tokenizer.image_token_id,
    )
    processor = Gemma3Processor(
        Gemma3ImageProcessor(size={"height": SIDE, "width": SIDE}), tokenizer,
        chat_template=TEMPLATE, image_seq_length=TOKENS,
    )  # fmt: skip
    return random_model(Gemma3ForConditionalGeneration, config, tokenizer), processor
