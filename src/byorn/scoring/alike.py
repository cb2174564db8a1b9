"""Scoring by processes that share the weights of a model: none runs it alone.

Each scores its own batches, of which one may have fewer, or rows that fail before they reach the model. Before every
forward pass the processes ask each other whether one of them has work; who has none runs the model on a row of no
interest.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from byorn.errors import ModelError
from byorn.models.sharding import is_sharded, most
from byorn.runs.stage import Ahead, Compute, Record
from byorn.text import first_line


class ForwardError(ModelError):
    """A forward pass failed while other processes computed with the same weights; none of them can go on."""


class Alike:
    """A `Joint` of `byorn.runs.stage`.

    Args:
        model: The model, with sharded weights.
        compute: What it computes.
        spare: Runs the model once, for nothing.
    """

    def __init__(self, model: Any, compute: Compute, spare: Callable[[], None]) -> None:
        self.model = model
        self.compute = compute
        self.spare = spare

    def __call__(self, batch: Sequence[int]) -> Iterable[tuple[int, Record]]:
        """The records of the batch, while the others run the model as often as it takes."""
        hook = self.model.register_forward_pre_hook(self._announce, prepend=True)
        try:
            yield from self.compute(batch)
        finally:
            hook.remove()

    def expect(self, batches: Sequence[Sequence[int]]) -> None:
        """As what it computes may want to know."""
        if isinstance(self.compute, Ahead):
            self.compute.expect(batches)

    def _announce(self, *_: object) -> None:
        most(self.model, 1)

    def join(self) -> None:
        """Run the model for nothing as long as one of the processes has work."""
        while most(self.model, 0):
            self.spare()


def alike(model: Any, compute: Compute, spare: Callable[[], None]) -> Compute:
    """The function as it is, or as an `Alike` where the weights are sharded."""
    return Alike(model, compute, spare) if is_sharded(model) else compute


@contextmanager
def never_alone(model: Any) -> Iterator[None]:
    """A forward pass: a failure is final where other processes are in the midst of it.

    Raises:
        ForwardError: It failed, and the weights are sharded.
    """
    try:
        yield
    except Exception as error:
        if is_sharded(model):
            raise ForwardError(
                f"fsdp: a forward pass failed, and the other processes wait for it: {first_line(error)}; "
                "use a smaller score_batch_size, or take the row out"
            ) from error
        raise
