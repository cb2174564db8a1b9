"""Where a model looks as it begins its response: the attention of the last prompt position, whose output is the first
generated token.

The language model is switched to the plain ("eager") attention meanwhile, since the fast ones keep no weights. Its
layers and heads, and which tokens stand for an image, are read from the model, so that families need no code of their
own.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from byorn.errors import ModelError
from byorn.models.placement import place_inputs


@dataclass(frozen=True)
class FirstLook:
    """The attention of one row's first generated token.

    Attributes:
        weights: float32 array [layers, heads, tokens]; each head's weights sum to 1.
        ids: int array [tokens], the prompt without padding.
        image: bool array [tokens], the tokens that stand for an image.
    """

    weights: np.ndarray
    ids: np.ndarray
    image: np.ndarray


@contextmanager
def weights_kept(model: Any) -> Iterator[None]:
    """The language model computes its attention weights inside; afterwards it is as it was."""
    from byorn.models.parts import language_prefix, without_adapter

    language = without_adapter(model).get_submodule(language_prefix(model))
    before = language.config._attn_implementation
    language.set_attn_implementation("eager")
    try:
        yield
    finally:
        language.set_attn_implementation(before)


def first_looks(model: Any, processor: Any, samples: Sequence[dict[str, Any]]) -> list[FirstLook]:
    """The first look at each sample (`prompt`, `images`), by a model in eval mode inside `weights_kept`.

    Layers that attend to something else than the prompt, as the cross-attention of Mllama does, are left out.

    Raises:
        ModelError: The model gives no attention over its prompt, or has no image token.
    """
    import torch

    from byorn.models.generate import encode_prompts

    inputs = place_inputs(encode_prompts(processor, samples), model)
    inputs.pop("labels", None)  # PaliGemma's processor writes them unasked
    with torch.no_grad():
        layers = model(**inputs, output_attentions=True, use_cache=False, logits_to_keep=1).attentions or ()
    ids = inputs["input_ids"].cpu().numpy()
    mask = inputs["attention_mask"].cpu().numpy().astype(bool)
    last = [layer[:, :, -1].float().cpu().numpy() for layer in layers if layer.shape[-1] == ids.shape[1]]
    if not last:
        raise ModelError(f"{type(model).__name__}: it gives no attention weights over its prompt; use another defense")
    weights = np.stack(last, axis=1)
    image = ids == image_token_id(model)
    return [FirstLook(weights[at][..., mask[at]], ids[at][mask[at]], image[at][mask[at]]) for at in range(len(samples))]


def image_token_id(model: Any) -> int:
    """The token that stands for a piece of an image in the prompt.

    Raises:
        ModelError: The model's configuration names none.
    """
    found = getattr(model.config, "image_token_id", None)
    if found is None:
        raise ModelError(f"{type(model).__name__}: its configuration has no image_token_id; use another defense")
    return int(found)
