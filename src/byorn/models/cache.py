"""What a model keeps of each token while it generates: keys and values."""

from typing import Any

from byorn.models.parts import without_adapter


def cache_bytes(model: Any) -> int:
    """Bytes of keys and values of one token: 2 x layers x heads of keys and values x width of a head x bytes a number.
    Layers that keep less, as those with a sliding window, are counted like the others.
    """
    base = without_adapter(model)
    config = base.config.get_text_config()
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    total: int = 2 * config.num_hidden_layers * heads * width * base.dtype.itemsize
    return total
