"""Idefics3: SigLIP with pixel shuffle, and a Llama 3 decoder named `text_model`.

Tiles and template as SmolVLM's, without num2words. The turn ends with `<end_of_utterance>`, which is not the
tokenizer's end of sequence.
"""

from byorn.testing.families.parts import TEXT, VISION, Family, byte_tokenizer, ids_of, random_model
from byorn.testing.families.smolvlm import GRID, IMAGE, PATCH, SHUFFLE, SIDE
from byorn.testing.families.smolvlm import TEMPLATE as SMOLVLM_TEMPLATE

SPECIAL = ("<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>", "<end_of_utterance>", *IMAGE)
TEMPLATE = SMOLVLM_TEMPLATE.replace("<|im_start|>", "<|begin_of_text|>")


def build() -> Family:
    """The tiny model and its processor."""
    from transformers import (
        Idefics3Config,
        Idefics3ForConditionalGeneration,
        Idefics3ImageProcessor,
        Idefics3Processor,
        LlamaConfig,
    )
    from transformers.models.idefics3.configuration_idefics3 import Idefics3VisionConfig

    tokenizer = byte_tokenizer(
        SPECIAL, bos_token="<|begin_of_text|>", eos_token="<|end_of_text|>", pad_token="<|reserved_special_token_0|>"
    )
    config = Idefics3Config(
        vision_config=Idefics3VisionConfig(**VISION, image_size=SIDE, patch_size=PATCH),
        text_config=LlamaConfig(**TEXT, vocab_size=len(tokenizer), **ids_of(tokenizer)),
        image_token_id=tokenizer.get_vocab()["<image>"], scale_factor=SHUFFLE,
    )  # fmt: skip
    processor = Idefics3Processor(
        Idefics3ImageProcessor(size={"longest_edge": GRID * SIDE}, max_image_size={"longest_edge": SIDE}), tokenizer,
        image_seq_len=(SIDE // PATCH // SHUFFLE) ** 2, chat_template=TEMPLATE,
    )  # fmt: skip
    return random_model(Idefics3ForConditionalGeneration, config, tokenizer), processor
