"""A base model in 4 or 8 bits, through bitsandbytes: QLoRA (Dettmers et al. 2023, arXiv 2305.14314) with NF4 blocks, or
LLM.int8() (Dettmers et al. 2022, arXiv 2208.07339).

Every linear layer is quantized, the vision tower's too, but not the output head: scores and losses multiply by its
weights. The settings are TRL's for `load_in_4bit` and `load_in_8bit`.
"""

import logging
from importlib.util import find_spec
from typing import Any

from byorn.errors import ModelError
from byorn.models.spec import Quantize


def quantization_config(kind: Quantize, dtype: str) -> Any:
    """What `from_pretrained` takes as `quantization_config`; None for `none`.

    Args:
        kind: As a `ModelSpec` has it.
        dtype: Number type of the arithmetic on 4-bit weights; `auto` is bfloat16.

    Raises:
        ModelError: bitsandbytes is not installed.
    """
    if kind == "none":
        return None
    if find_spec("bitsandbytes") is None:
        raise ModelError(f"quantize: {kind} needs bitsandbytes, which is not installed: pip install 'byorn[qlora]'")
    from transformers import BitsAndBytesConfig

    # LLM.int8() works in float16 by design, and bitsandbytes says so once for each layer and pass
    logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
    if kind == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    compute = "bfloat16" if dtype == "auto" else dtype
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=compute)


def keep_differentiable(model: Any) -> None:
    """Keep 4-bit weights in the layout that has gradients; other models are left as they are.

    On processors with AVX512-BF16, bitsandbytes repacks a layer the first time that it is used in eval mode, for a
    kernel without gradients. Scoring or sampling would then leave most of the adapter untrained, without an error.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
