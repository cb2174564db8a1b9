"""LLaVA-1.5: a CLIP tower, a two-layer projector, Llama. Its template writes no end of turn and puts images first."""

from typing import TYPE_CHECKING

from byorn.testing.families.parts import TEXT, VISION, Family, byte_tokenizer, ids_of, random_model

if TYPE_CHECKING:
    from transformers import LlavaProcessor

SIDE = 32
PATCH = 16
TEMPLATE = (
    "{% for message in messages %}{% if message['role'] != 'system' %}{{ message['role'] | upper + ': ' }}{% endif %}"
    "{% for block in message['content'] if block['type'] == 'image' %}{{ '<image>\n' }}{% endfor %}"
    "{% for block in message['content'] if block['type'] == 'text' %}{{ block['text'] + ' ' }}{% endfor %}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)


def build() -> Family:
    """Like llava-hf/llava-1.5-7b-hf."""
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

    processor = _processor()
    tokenizer = processor.tokenizer
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**VISION, image_size=SIDE, patch_size=PATCH, projection_dim=32),
        text_config=LlamaConfig(**TEXT, vocab_size=len(tokenizer), **ids_of(tokenizer)),
        image_token_index=processor.image_token_id,
        vision_feature_layer=-2,
        image_seq_length=(SIDE // PATCH) ** 2,
    )
    return random_model(LlavaForConditionalGeneration, config, tokenizer), processor


def _processor() -> "LlavaProcessor":
    from transformers import CLIPImageProcessor, LlavaProcessor

    tokens = ["<unk>", "<s>", "</s>", "<image>", "<pad>"]
    size = {"height": SIDE, "width": SIDE}
    return LlavaProcessor(
        image_processor=CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size=size),
        tokenizer=byte_tokenizer(tokens, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>"),
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    )
