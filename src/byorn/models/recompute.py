"""Activation checkpointing of a model in eval mode, whose layers transformers checkpoints in training mode alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

_STATE = ("training", "gradient_checkpointing", "_gradient_checkpointing_func")
"""Attributes of a layer by which transformers decides."""


@contextmanager
def recomputed(model: Any) -> Iterator[bool]:
    """Layers keep what goes into them, and compute the rest again on the way back: memory of one layer in place of all,
    for another forward pass. Gradients are the same to the last bit, and so is the model afterwards.

    Args:
        model: In eval mode. Its layers are told that they train, what is in them is not: nothing is dropped out.

    Yields:
        Whether it has layers that can.
    """
    from torch.utils.checkpoint import checkpoint
    from transformers.modeling_layers import GradientCheckpointingLayer

    again = partial(checkpoint, use_reentrant=False, preserve_rng_state=False)
    layers = [part for part in model.modules() if isinstance(part, GradientCheckpointingLayer)]
    before = [{name: vars(layer)[name] for name in _STATE if name in vars(layer)} for layer in layers]
    for layer in layers:
        vars(layer).update(dict(zip(_STATE, (True, True, again), strict=True)))
    try:
        yield bool(layers)
    finally:
        for layer, state in zip(layers, before, strict=True):
            for name in _STATE:
                del vars(layer)[name]
            vars(layer).update(state)
