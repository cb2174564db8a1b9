"""LLaVA-NeXT (1.6) on Mistral: an image becomes tiles of several resolutions, each of its own number of tokens."""

from typing import TYPE_CHECKING

from byorn.testing.families.parts import TEXT, VISION, Family, byte_tokenizer, ids_of, random_model

if TYPE_CHECKING:
    from transformers import LlavaNextProcessor

SIDE = 32
PATCH = 16
PINPOINTS = [[32, 64], [64, 32], [64, 64]]
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{ '[INST] ' }}"
    "{% for block in message['content'] if block['type'] == 'image' %}{{ '<image>\n' }}{% endfor %}"
    "{% for block in message['content'] if block['type'] == 'text' %}{{ block['text'] }}{% endfor %}{{ ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'][0]['text'] + eos_token }}"
    "{% else %}{{ '<<SYS>>\n' + message['content'][0]['text'] + '\n<</SYS>>\n\n' }}{% endif %}{% endfor %}"
)


def build() -> Family:
    """Like llava-hf/llava-v1.6-mistral-7b-hf."""
    from transformers import CLIPVisionConfig, LlavaNextConfig, LlavaNextForConditionalGeneration, MistralConfig

    processor = _processor()
    tokenizer = processor.tokenizer
    config = LlavaNextConfig(
        vision_config=CLIPVisionConfig(**VISION, image_size=SIDE, patch_size=PATCH, projection_dim=32),
        text_config=MistralConfig(**TEXT, vocab_size=len(tokenizer), sliding_window=None, **ids_of(tokenizer)),
        image_token_index=processor.image_token_id,
        image_grid_pinpoints=PINPOINTS,
        image_seq_length=(SIDE // PATCH) ** 2,
    )
    return random_model(LlavaNextForConditionalGeneration, config, tokenizer), processor


def _processor() -> "LlavaNextProcessor":
    from transformers import LlavaNextImageProcessor, LlavaNextProcessor

    tokens = ["<unk>", "<s>", "</s>", "<image>", "<pad>"]
    images = LlavaNextImageProcessor(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}, image_grid_pinpoints=PINPOINTS
    )
    return LlavaNextProcessor(
        image_processor=images,
        tokenizer=byte_tokenizer(tokens, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>"),
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    )
