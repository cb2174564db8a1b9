"""Which model was it? Short hashes of all its weights, and of its processor."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from byorn.models.parts import without_adapter

REMEMBERED = "_byorn_digest"
_THREADS = 4  # hashing lets go of the interpreter; more only wait for memory


def model_digest(model: Any) -> str:
    """A short content hash of a model: names, shapes, types and every byte of its parameters and persistent buffers,
    and of the scales of quantized ones; adapters do not count.

    What is hashed is what was loaded, and not its files: number type and quantization count, a model made in memory has
    one too, and no file can be changed behind a cached hash. Of a sharded model it is that of the whole one before.
    """
    known = getattr(without_adapter(model), REMEMBERED, None)
    if known is not None:
        return str(known)
    return tensors_digest({_plain(name): tensor for name, tensor in named_tensors(model) if ".lora_" not in name})


def tensors_digest(tensors: Mapping[str, Any]) -> str:
    """A short hash of names, shapes, types and every byte, in this order."""
    digest = hashlib.blake2b(digest_size=12)
    with ThreadPoolExecutor(_THREADS) as pool:
        for name, content in zip(tensors, pool.map(_content, tensors.values()), strict=True):
            tensor = tensors[name]
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode() + content)
    return digest.hexdigest()


def remember_digest(model: Any) -> None:
    """Keep the digest of a model before its weights are sharded."""
    setattr(model, REMEMBERED, model_digest(model))


def adapter_digest(model: Any) -> str:
    """A content hash of all adapter weights and their scales, which `model_digest` leaves out."""
    digest = hashlib.blake2b(digest_size=12)
    for name, parameter in model.named_parameters():
        if ".lora_" in name:
            digest.update(name.encode() + parameter.detach().float().cpu().numpy().tobytes())
    for name, module in model.named_modules():
        if isinstance(scaling := getattr(module, "scaling", None), dict):
            digest.update(f"{name} {sorted(scaling.items())}".encode())
    return digest.hexdigest()


def _plain(name: str) -> str:
    """The name without what PEFT puts around a layer."""
    return name.replace("base_model.model.", "").replace(".base_layer", "")


def _content(tensor: Any) -> bytes:
    import torch

    flat = tensor.detach().reshape(-1).contiguous().cpu().view(torch.uint8)  # numpy knows no bfloat16
    return hashlib.blake2b(flat.numpy(), digest_size=32).digest()


def named_tensors(model: Any) -> Iterator[tuple[str, Any]]:
    """All parameters; of quantized ones also the scales, for the same codes mean other weights under other scales; and
    the buffers that a checkpoint holds.
    """
    for name, parameter in model.named_parameters():
        yield name, parameter
        if not parameter.is_floating_point():
            layer = name.rpartition(".")[0]
            state = model.get_submodule(layer).state_dict()
            yield from ((f"{layer}.{key}", state[key]) for key in sorted(state) if key not in ("weight", "bias"))
    for prefix, module in model.named_modules():
        for key, buffer in module.named_buffers(recurse=False):
            if key not in module._non_persistent_buffers_set:
                yield f"{prefix}.{key}", buffer


def processor_digest(processor: Any) -> str:
    """A short hash of what turns a row into tensors: chat template, vocabulary, special tokens, image settings."""
    tokenizer = processor.tokenizer
    settings = [processor.chat_template, tokenizer.get_vocab(), tokenizer.special_tokens_map, processor.to_dict()]
    # JSON, since the numbers and lists of a saved processor come back as other types that mean the same
    text = json.dumps(settings, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
