"""Mllama (Llama 3.2 Vision): a tiled ViT that the decoder reads through cross-attention layers.

An image is one token of text, with a mask of which later tokens see its tiles; the processor begins every text with a
beginning of text that it lacks, a response alone too. The image token lies outside the output vocabulary. In
transformers, text before the first image also attends to the padding images of a batch, so only rows with equally many
images make a batch that scores them as each alone.
"""

from byorn.testing.families.parts import TEXT, VISION, Family, byte_tokenizer, ids_of, random_model

HEADERS = ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
SPECIAL = ("<|begin_of_text|>", "<|finetune_right_pad_id|>", "<|python_tag|>", *HEADERS)
SIDE = 32
PATCH = 8
TILES = 4
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}{% for block in message['content'] %}"
    "{% if block['type'] == 'image' %}<|image|>{% elif block['type'] == 'text' %}{{ block['text'] }}{% endif %}"
    "{% endfor %}"
    "<|eot_id|>{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}"
    "{% endif %}"
)


def build() -> Family:
    """The tiny model and its processor."""
    from transformers import MllamaConfig, MllamaForConditionalGeneration, MllamaImageProcessor, MllamaProcessor
    from transformers.models.mllama.configuration_mllama import MllamaTextConfig, MllamaVisionConfig

    tokenizer = byte_tokenizer(
        SPECIAL, bos_token="<|begin_of_text|>", eos_token="<|eot_id|>", pad_token="<|finetune_right_pad_id|>"
    )
    vocabulary = len(tokenizer)
    tokenizer.add_special_tokens({"extra_special_tokens": ["<|image|>"]}, replace_extra_special_tokens=False)
    width = VISION["hidden_size"]
    layers = VISION["num_hidden_layers"]
    vision = MllamaVisionConfig(
        hidden_size=width, intermediate_size=2 * width, num_hidden_layers=layers, num_global_layers=1,
        attention_heads=VISION["num_attention_heads"], image_size=SIDE, patch_size=PATCH, max_num_tiles=TILES,
        intermediate_layers_indices=[0], vision_output_dim=2 * width,
    )  # fmt: skip
    text = MllamaTextConfig(
        **{**TEXT, "num_hidden_layers": 3}, vocab_size=vocabulary, cross_attention_layers=[1], **ids_of(tokenizer)
    )
    config = MllamaConfig(vision_config=vision, text_config=text, image_token_index=tokenizer.get_vocab()["<|image|>"])
    processor = MllamaProcessor(
        MllamaImageProcessor(size={"height": SIDE, "width": SIDE}, max_image_tiles=TILES),
        tokenizer,
        chat_template=TEMPLATE,
    )
    return random_model(MllamaForConditionalGeneration, config, tokenizer), processor
