"""Perplexity of plain texts under a causal language model.

    PPL(s) = exp(-(1/K) sum_l ln p(w_l | lead, w_<l)),   l = 1 ... K over the tokens of s

With the lead, at least one token that goes before every text, the first token counts like every other and a text of one
token has a perplexity. Padding has no part in it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from byorn.errors import ModelError
from byorn.text import first_line


def load_causal_lm(name: str, device: Any) -> tuple[Any, Any]:
    """A causal language model in eval mode and its tokenizer, from a folder or the hub.

    Raises:
        ModelError: It cannot be loaded.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        # said, since transformers else asks at the terminal whether to run the model's own code
        model: Any = AutoModelForCausalLM.from_pretrained(name, trust_remote_code=False)
        return model.to(device).eval(), AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    except Exception as error:  # a foreign folder fails in every way there is
        raise ModelError(f"lm {name!r}: no causal language model can be loaded: {first_line(error)}") from error


def lead_ids(tokenizer: Any, lead: str = "") -> list[int]:
    """The tokens of a lead; of an empty one the token that begins a sequence, or else the one that ends it.

    Raises:
        ModelError: The tokenizer has neither.
    """
    if lead:
        return list(tokenizer(lead, add_special_tokens=False)["input_ids"])
    first = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    if first is None:
        raise ModelError("lm: its tokenizer has neither a beginning nor an end of sequence; use another model")
    return [first]


def perplexities(
    model: Any, tokenizer: Any, lead: Sequence[int], texts: Sequence[str], batch_size: int = 8
) -> np.ndarray:
    """Perplexities, float64 [n] in [1, inf]; NaN for a text without tokens or longer than the model reads. They do not
    depend on the batch, up to rounding.

    Args:
        model: A causal language model, or a vision-language model, which then reads text alone; in eval mode.
        tokenizer: Its tokenizer.
        lead: The tokens before each text, see `lead_ids`.
        texts: Plain texts.
        batch_size: Texts a forward pass.
    """
    encoded = [[*lead, *ids] for ids in tokenizer(list(texts), add_special_tokens=False)["input_ids"]] if texts else []
    limit = getattr(model.config.get_text_config(), "max_position_embeddings", None) or float("inf")
    fitting = [index for index, row in enumerate(encoded) if len(row) <= limit]
    order = sorted(fitting, key=lambda index: -len(encoded[index]))
    result = np.full(len(encoded), np.nan)
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        result[batch] = _of_batch(model, [encoded[at] for at in batch], len(lead))
    return result


def _of_batch(model: Any, rows: Sequence[Sequence[int]], skipped: int) -> np.ndarray:
    import torch
    from torch.nn.functional import cross_entropy

    width = max(len(row) for row in rows)
    ids = torch.tensor([[*row, *[row[0]] * (width - len(row))] for row in rows], device=model.device)
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=model.device)
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1]
    losses = cross_entropy(logits.float().transpose(1, 2), ids[:, 1:], reduction="none").double() * mask[:, 1:]
    mean = losses[:, skipped - 1 :].sum(1) / mask[:, skipped:].sum(1)
    return mean.exp().cpu().numpy()
