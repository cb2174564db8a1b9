"""The embedded model's architecture and processor: transformers' own LLaVA classes at a size that a laptop trains.

A CLIP vision tower (4 layers of 128, patches of 16 on 64 pixels, so 16 image tokens), a two-layer projector and a Llama
decoder (4 layers of 192); 2.9 million parameters, a byte-level BPE of about a thousand tokens.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import LlavaForConditionalGeneration, LlavaProcessor, PreTrainedTokenizerFast

IMAGE_TOKEN = "<image>"
USER = "<|user|>"
ASSISTANT = "<|assistant|>"
SYSTEM = "<|system|>"
END = "<|end|>"
PAD = "<pad>"
SPECIAL = (PAD, END, USER, ASSISTANT, SYSTEM, IMAGE_TOKEN)
SIDE = 64
PATCH = 16
TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for block in message['content'] %}"
    "{% if block['type'] == 'image' %}{{ '<image>' }}{% elif block['type'] == 'text' %}{{ block['text'] }}{% endif %}"
    "{% endfor %}{% endif %}{{ '<|end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def train_tokenizer(texts: Iterable[str], size: int = 1024) -> "PreTrainedTokenizerFast":
    """A byte-level BPE tokenizer learned from `texts`; any other text still encodes, byte by byte."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=size, special_tokens=list(SPECIAL), initial_alphabet=alphabet)
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[USER, ASSISTANT, SYSTEM, IMAGE_TOKEN],
        model_max_length=1024,
    )


def build_processor(tokenizer: "PreTrainedTokenizerFast") -> "LlavaProcessor":
    """The LLaVA processor around a tokenizer of `train_tokenizer`."""
    from transformers import CLIPImageProcessor, LlavaProcessor

    images = CLIPImageProcessor(
        size={"shortest_edge": SIDE},
        crop_size={"height": SIDE, "width": SIDE},
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )
    return LlavaProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token=IMAGE_TOKEN,
        chat_template=TEMPLATE,
    )


def build_model(
    tokenizer: "PreTrainedTokenizerFast", *, vision: tuple[int, int] = (128, 4), text: tuple[int, int] = (192, 4)
) -> "LlavaForConditionalGeneration":
    """A LLaVA with random weights; `vision` and `text` are (width, layers). Seed torch before the call."""
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

    width, layers = vision
    vision_config = CLIPVisionConfig(
        hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers, num_attention_heads=width // 32,
        image_size=SIDE, patch_size=PATCH, projection_dim=width,
    )  # fmt: skip
    hidden, depth = text
    ids = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id, "bos_token_id": None}
    text_config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=hidden, intermediate_size=8 * hidden // 3, num_hidden_layers=depth,
        num_attention_heads=hidden // 32,
        num_key_value_heads=hidden // 32, max_position_embeddings=1024, tie_word_embeddings=True, **ids,
    )  # fmt: skip
    config = LlavaConfig(
        vision_config=vision_config,
        text_config=text_config,
        image_token_index=tokenizer.get_vocab()[IMAGE_TOKEN],
        vision_feature_layer=-1,
        image_seq_length=(SIDE // PATCH) ** 2,
        tie_word_embeddings=True,
    )
    model = LlavaForConditionalGeneration(config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model
