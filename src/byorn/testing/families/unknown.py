"""A family that byorn has never heard of: CLIP and Llama under names of its own (`eye`, `bridge`, `mind`), that tell
nothing and that transformers finds no decoder by.

It is not one of `FAMILIES`; it stands for the next one, which has to work by structure alone.
"""

from byorn.testing.families import llava
from byorn.testing.families.parts import Family, random_model


def build() -> Family:
    """The tiny model and LLaVA's processor."""
    from byorn.testing.families.unknown_model import UnknownConfig, UnknownForConditionalGeneration

    known, processor = llava.build()
    settings = {**known.config.to_dict(), "model_type": UnknownConfig.model_type}
    config = UnknownConfig(**settings)
    return random_model(UnknownForConditionalGeneration, config, processor.tokenizer), processor
