"""What the vision tower takes of a pass, told by one batch, and the way not to pay for it in every pass."""

import functools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from byorn.models.features import why_not_kept
from byorn.models.inputs import Inputs
from byorn.runs.batches import WHOLE, length_order, shard_batches
from byorn.runs.narrate import say

WORTH = 1 / 3
"""The share of a pass from which on keeping features is worth a line."""


@dataclass
class Seen:
    """Seconds that the tower and the projector took, and bytes of what they said."""

    seconds: float = 0.0
    size: int = 0


def tell_seeing(inputs: Inputs, batch_size: int) -> None:
    """Say what `--feature-cache` would spare, where it can be had, is not asked for and spares `WORTH` or more of a
    pass.
    """
    inner = inputs.model.base_model
    if why_not_kept(inputs.model) or "get_image_features" in vars(inner):
        return
    batches = list(shard_batches(length_order(inputs.dataset), batch_size, WHOLE))
    batch = batches[len(batches) // 2]
    images = sum(len(inputs.rows[index].images) for index in batch)
    share, size = _measured(inputs, batch)
    if images and share >= WORTH:
        say(
            f"  the vision tower takes {share:.0%} of a pass: --feature-cache GB lets it see each image once, not once "
            f"a pass, for {size / images / 1e6:.2g} MB of memory an image"
        )


def _measured(inputs: Inputs, batch: list[int]) -> tuple[float, int]:
    """The tower's share of the seconds of a pass over one batch, and the bytes of all that it said."""
    from byorn.scoring.scorer import scorer

    with scorer(inputs.model, inputs.processor, inputs.dataset) as score, _watched(inputs.model.base_model) as seen:
        began = _now()
        list(score(batch))
        return seen.seconds / (_now() - began), seen.size


@contextmanager
def _watched(inner: Any) -> Iterator[Seen]:
    """What goes through the tower of a model without its head."""
    seen, original = Seen(), inner.get_image_features

    @functools.wraps(original)  # transformers asks for the signature
    def watched(*args: Any, **kwargs: Any) -> Any:
        began = _now()
        said = original(*args, **kwargs)
        seen.seconds += _now() - began
        seen.size += _size(said)
        return said

    inner.get_image_features = watched
    try:
        yield seen
    finally:
        del inner.get_image_features


def _now() -> float:
    """Seconds, when a GPU has done what it was asked for."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def _size(said: Any) -> int:
    parts = [said.pooler_output, *(getattr(said, "deepstack_features", None) or [])]
    flat = [tensor for part in parts for tensor in ([part] if hasattr(part, "nbytes") else part)]
    return sum(tensor.nbytes for tensor in flat)
