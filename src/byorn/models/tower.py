"""What decides, beside the image, what a vision tower says of it: to the last bit, so that features may be kept.

The weights and buffers of all parts but the language model, classes, configuration, attention kernel; number type,
device and autocast; versions of PyTorch and transformers, number of threads, and the instructions that the processor
has: a matrix product adds in another order on another machine.
"""

import hashlib
from collections.abc import Iterator
from typing import Any

from byorn.models.digest import named_tensors, tensors_digest

LANGUAGE = ("language_model", "text_model")
UNSEEN = ("text_config", "use_cache", "bos_token_id", "eos_token_id", "pad_token_id")
"""Settings that no tower reads; trainers change some of them."""
FORMAT = 1
"""Of features; another one wherever images are cut, or features are named, in another way."""


def seeing_parts(inner: Any) -> dict[str, Any]:
    """The parts of a model without its head that are not its language model, by name."""
    return {name: part for name, part in inner.named_children() if name not in LANGUAGE}


def own_weights(inner: Any) -> dict[str, Any]:
    """Parameters that lie beside the parts (a line break between rows of an image, say), by name."""
    return {name: weight for name, weight in inner._parameters.items() if weight is not None}


def tower_digest(inner: Any) -> str:
    """A short hash of all that the features of an image depend on, but the image.

    Args:
        inner: The model without its head, whose `get_image_features` is meant.
    """
    tensors = dict(_tensors(inner))
    device = next(iter(tensors.values())).device
    facts = [FORMAT, *_described(inner), *_surroundings(device), tensors_digest(tensors)]
    return hashlib.blake2b(repr(facts).encode(), digest_size=16).hexdigest()


def _tensors(inner: Any) -> Iterator[tuple[str, Any]]:
    yield from own_weights(inner).items()
    for name, part in seeing_parts(inner).items():
        for key, tensor in [*named_tensors(part), *part.named_buffers()]:  # those that no checkpoint holds, too
            yield f"{name}.{key}", tensor


def _described(inner: Any) -> list[object]:
    config = inner.config.to_dict()
    settings = {key: value for key, value in config.items() if key not in UNSEEN and not key.startswith("_")}
    kernel = getattr(inner.config.vision_config, "_attn_implementation", None)
    modules = [inner, *(module for part in seeing_parts(inner).values() for module in part.modules())]
    classes = sorted({f"{type(module).__module__}.{type(module).__qualname__}" for module in modules})
    return [sorted(settings.items(), key=str), kernel, classes]


def _surroundings(device: Any) -> list[object]:
    import torch
    import transformers

    facts: list[object] = [
        torch.__version__, transformers.__version__, torch.__config__.show(), torch.get_num_threads(),
        torch.get_float32_matmul_precision(), torch.are_deterministic_algorithms_enabled(), device.type,
        torch.is_autocast_enabled(device.type), torch.get_autocast_dtype(device.type),
    ]  # fmt: skip
    if device.type == "cuda":
        return [*facts, torch.cuda.get_device_name(device), torch.backends.cudnn.allow_tf32]
    return [*facts, torch.backends.mkldnn.enabled, sorted(torch.cpu.get_capabilities().items())]
