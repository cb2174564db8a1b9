"""What a pass, a training step and a response cost here, told by trying them on a few rows: the longest, middle and
shortest ones. `byorn.pipeline.estimate` says what a run of them will take.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from byorn.models.inputs import Inputs
from byorn.runs.batches import WHOLE, length_order, shard_batches
from byorn.runs.memory import peak_megabytes, reset_peak
from byorn.scoring.adaptation import cross_fitted
from byorn.scoring.likelihood import loss_of, scoring
from byorn.scoring.reader import reading

if TYPE_CHECKING:
    import torch

    from byorn.training.trainer import ByornTrainer

MOMENTS = 4 + 4
"""Bytes of Adam's two moments, in float32."""


def forward_seconds(inputs: Inputs, batch_size: int) -> float:
    """Seconds a row of a forward pass, from batches of the longest, middle and shortest rows; one more warms up. What
    does not fit into memory is halved, as in a scan.
    """
    from byorn.scoring.scorer import scorer

    batches = list(_spread(shard_batches(length_order(inputs.dataset), batch_size, WHOLE)))
    with scorer(inputs.model, inputs.processor, inputs.dataset) as score:

        def run(batch: list[int]) -> float:
            began = time.perf_counter()
            list(score(batch))
            return time.perf_counter() - began

        run(batches[0])
        return sum(run(batch) for batch in batches) / sum(map(len, batches))


def sampling_seconds(inputs: Inputs, batch_size: int) -> float:
    """Seconds a row of generating a response of middle length; greedy decoding draws nothing."""
    from byorn.models.generate import generate_bounded
    from byorn.training.sampling import learned_length_limit

    order = length_order(inputs.dataset)
    batch = [inputs.dataset[index] for index in order[len(order) // 2 :][:batch_size]]
    limit = learned_length_limit(inputs.processor, [row.response for row in inputs.rows])
    began = time.perf_counter()
    generate_bounded(inputs.model, inputs.processor, batch, max_new_tokens=limit)
    return (time.perf_counter() - began) / len(batch)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What training costs, by trying it.

    Attributes:
        learning, sampling: Seconds a row of a forward and a backward pass, and of sampling a response from the average.
        activations: Bytes that a forward pass of the longest rows keeps for the backward one.
    """

    learning: float
    sampling: float
    activations: int


def measure(trainer: "ByornTrainer", sampling: bool) -> Measured:
    """Try training on the longest, middle and shortest rows, and sampling for the middle ones if `sampling`.

    The optimizer makes no step, but the trainer is of no use afterwards: for dry runs only.
    """
    args = trainer.args
    rows = trainer.train_dataset
    if args.gradient_checkpointing:
        trainer.model.gradient_checkpointing_enable(args.gradient_checkpointing_kwargs)
    trainer.model.train()
    batches = list(_spread(shard_batches(length_order(rows), args.per_device_train_batch_size, WHOLE)))
    activations = kept_bytes(trainer, batches[0])  # and all is warm
    learning = sum(_learn(trainer, batch) for batch in batches) / sum(map(len, batches))
    sampled = _sample(trainer, batches[len(batches) // 2]) if sampling else 0.0
    return Measured(learning=learning, sampling=sampled, activations=activations)


def kept_bytes(trainer: "ByornTrainer", batch: list[int]) -> int:
    """Bytes that a forward pass of some rows keeps for the backward one; the weights do not count."""
    import torch

    kept: dict[int, int] = {}
    weights = {parameter.untyped_storage().data_ptr() for parameter in trainer.model.parameters()}

    def count(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        _learn(trainer, batch)
    return sum(kept.values())


def adapting_bytes(inputs: Inputs, batch_size: int) -> int | None:
    """Peak bytes of an adaptation that learns so many rows at once, by trying the longest: of the GPU where there is
    one, else of this process. None where they do not fit or cannot be read, or the model is beside an idle GPU.
    """
    import torch

    if torch.cuda.is_available() and inputs.model.device.type != "cuda":
        return None
    nobody = np.zeros(len(inputs.rows), dtype=bool)
    rows = length_order(inputs.dataset)[:batch_size]
    data = inputs.processor, inputs.dataset
    reset_peak()
    with (
        cross_fitted(inputs.model, *data, nobody, ~nobody, batch_size=batch_size) as fitted,
        scoring(fitted.model, adapters=True),
        reading(*data) as reader,
    ):
        try:
            loss_of(fitted.model, reader.take(rows).inputs).backward()
        except Exception:  # of hostile rows there is every kind, and a scan reports them one by one
            return None
        learning: int = sum(weight.numel() for weight in fitted.model.parameters() if weight.requires_grad)
    return round(peak_megabytes() * 1e6 + MOMENTS * learning)


def _learn(trainer: "ByornTrainer", batch: list[int]) -> float:
    """Seconds of a forward and a backward pass."""
    from byorn.training.collator import COLUMNS

    began = time.perf_counter()
    rows = (trainer.train_dataset[index] for index in batch)  # each of which decodes its images
    samples = [{key: row[key] for key in COLUMNS} for row in rows]
    inputs = trainer._prepare_inputs(trainer.data_collator(samples))
    with trainer.compute_loss_context_manager():
        loss: torch.Tensor = trainer.compute_loss(trainer.model, inputs)  # type: ignore[assignment]  # no outputs are asked for
    loss.backward()
    loss.item()  # a GPU is waited for
    return time.perf_counter() - began


def _sample(trainer: "ByornTrainer", batch: list[int]) -> float:
    """Seconds a row of sampling responses as training will."""
    from byorn.training.ema import add_ema
    from byorn.training.responses import ema_source

    add_ema(trainer.model)
    rows = trainer.train_dataset
    source = ema_source(trainer.processing_class, trainer.args, rows.select_columns(["completion"]))
    began = time.perf_counter()
    source(trainer.model, [rows[index] for index in batch], 0)
    return (time.perf_counter() - began) / len(batch)


def _spread(batches: list[list[int]]) -> Iterator[list[int]]:
    """The first, the middle and the last."""
    yield from (batches[index] for index in sorted({0, len(batches) // 2, len(batches) - 1}))
