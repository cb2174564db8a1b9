"""Starts vLLM in this process, beside the model that it is compared with, and leaves everything else as it was."""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from byorn.errors import ModelError
from byorn.models.parts import without_adapter
from byorn.runs.narrate import say
from byorn.text import first_line
from byorn.training.engine.adapter import acting_adapter
from byorn.training.engine.checks import RANKS, largest_rank

if TYPE_CHECKING:
    from transformers import ProcessorMixin

ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # a second process would run the user's script again
    "VLLM_NO_USAGE_STATS": "1",  # byorn sends nothing that nobody asked for
    "VLLM_LOGGING_LEVEL": "WARNING",
}
"""What vLLM reads when it is imported, where the user says nothing else."""


def engine_dtype(model: Any) -> torch.dtype:
    """The number type that vLLM computes in: the model's, and bfloat16 for float32, which its LoRA does not take."""
    kind: torch.dtype = model.dtype
    return kind if kind in (torch.float16, torch.bfloat16) else torch.bfloat16


def start_engine(
    model: Any,
    processor: "ProcessorMixin",
    *,
    images: int,
    memory: float,
    seed: int,
    trust_remote_code: bool,
    room: int | None = None,
) -> Any:
    """A `vllm.LLM` of the base model, which takes an adapter if the model acts with one, or there is to be room.

    Args:
        model: With or without an adapter; vLLM reads the base model again, from where it came.
        processor: Of the model, with the user's limit of pixels.
        images: The most that a prompt has.
        memory: Share of the device's memory.
        seed: Of what has none of its own.
        trust_remote_code: Whether code in the model's folder may run.
        room: Rank of an adapter to come; by default that of the model's.

    Raises:
        ModelError: vLLM does not start.
    """
    options = _base(model) | _lora(model, room) | {
        "dtype": str(engine_dtype(model)).removeprefix("torch."), "seed": seed, "trust_remote_code": trust_remote_code,
        "gpu_memory_utilization": memory, "max_model_len": -1,  # as long as memory allows
        "limit_mm_per_prompt": {"image": images, "video": 0}, "mm_processor_kwargs": _pixels(processor),
        # in training each call has weights of its own; elsewhere an answer would be rounded by what was asked before
        "enable_prefix_caching": False, "logprobs_mode": "raw_logprobs",
    }  # fmt: skip
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    with random_kept():
        try:
            import vllm

            say(f"  responses by vLLM {vllm.__version__} in {options['dtype']}, taking {memory:.0%} of the memory")
            return vllm.LLM(**options)
        except Exception as error:  # a foreign stack fails in every way there is
            raise ModelError(
                f"vLLM does not start: {first_line(error)}; give it another response_engine_memory, or use "
                "response_engine='transformers'"
            ) from error


def _lora(model: Any, room: int | None) -> dict[str, Any]:
    """Room for an adapter of this rank, or for the one that the model acts with."""
    name = acting_adapter(model)
    wanted = room or (largest_rank(model.peft_config[name]) if name else 0)
    if not wanted:
        return {}
    return {"enable_lora": True, "max_loras": 1, "max_lora_rank": next(rank for rank in RANKS if rank >= wanted)}


def _base(model: Any) -> dict[str, str | None]:
    """Where the base model came from, at the same revision."""
    config = without_adapter(model).config
    name = config._name_or_path
    return {"model": name, "revision": None if Path(name).is_dir() else getattr(config, "_commit_hash", None)}


def _pixels(processor: "ProcessorMixin") -> dict[str, int] | None:
    """The limit of pixels that the processor has, where it has one; vLLM makes a processor of its own."""
    images = processor.image_processor
    if "max_pixels" not in getattr(getattr(images, "valid_kwargs", None), "__annotations__", {}):
        return None
    size = dict(images.size)
    return {"min_pixels": size["shortest_edge"], "max_pixels": size["longest_edge"]}


@contextmanager
def random_kept() -> Iterator[None]:
    """Whatever is seeded inside: afterwards all random states are as before. vLLM seeds every one of them, and dropout
    would draw the same again after each start.
    """
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
