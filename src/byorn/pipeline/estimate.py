"""What a run will take, said before it begins: rows, steps, time from a few timed batches, memory.

    scan      passes x rows x f,                          f: seconds a row of a forward pass, timed
              and by evidence at most `ADAPTING` x f      for the adaptation, however many rows there are
    training  epochs x (rows x t + flagged x g),          t: seconds a row of a training step, else `STEP` x f
                                                          g: seconds a row of sampling a response, timed
    memory    weights + adapter with optimizer and average + what a forward pass keeps for the backward one

Estimates are of this device and these rows. A dry run times a training step; before a real run nothing random is drawn,
and the model stays as it was.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from byorn.models.inputs import Inputs
from byorn.models.sharding import is_sharded
from byorn.runs.batches import WHOLE, length_order, shard_batches
from byorn.runs.narrate import say, seconds
from byorn.runs.ranks import current_shard
from byorn.scoring.adaptation import BATCH, PROBED
from byorn.scoring.learning_curve import LONGEST, LOOK
from byorn.scoring.statistics import EVIDENCE, PASSES

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from byorn.training.config import ByornConfig
    from byorn.training.trainer import ByornTrainer

LONG = 1000
"""Rows from which on a run is estimated before it begins; shorter ones are soon over, and their bar tells."""
STEP = 3
"""A training step in forward passes: one forward, one backward through the frozen layers, one for the adapter or the
recomputation of activations.
"""
ADAPTING = STEP * 2 * LONGEST * BATCH + PROBED * (LONGEST // LOOK + 1)
"""Of an adaptation to either half, at most, in forward passes of a row: its steps and its looks."""
OPTIMIZER_BYTES = 4 + 4 + 4 + 8
"""Of each adapter weight in float32: the weight, its gradient, its average, and Adam's two moments."""


@dataclass(frozen=True, kw_only=True)
class TrainingEstimate:
    """What training is expected to do and to take.

    Attributes:
        rows, flagged: Rows that are learned, and those of them whose responses are sampled.
        steps: Optimizer steps.
        scoring: Seconds of the scan; 0 where its scores are there already.
        learning, sampling: Seconds of training without sampling, and of sampling.
        visits: Rows that each process learns from over the run, repetitions counted.
        sampled: Those of them whose responses are sampled.
        weights, adapter, activations: Bytes; `activations` is None where it was not measured.
    """

    rows: int
    flagged: int
    steps: int
    scoring: float
    learning: float
    sampling: float
    visits: float
    sampled: float
    weights: int
    adapter: int
    activations: int | None = None

    def tried(self, measured: "Measured") -> "TrainingEstimate":
        """The same with what `measure` found."""
        return replace(
            self,
            learning=measured.learning * self.visits,
            sampling=measured.sampling * self.sampled,
            activations=measured.activations,
        )

    def __str__(self) -> str:
        sampled = f", about {self.flagged} with sampled responses," if self.flagged else ""
        scan = f"{seconds(self.scoring)} for the scan and " if self.scoring else ""
        parts = [f"weights {gigabytes(self.weights)}", f"adapter with optimizer and average {gigabytes(self.adapter)}"]
        if self.activations is None:
            memory = f"{', '.join(parts)}, activations come on top"
        else:
            total = gigabytes(self.weights + self.adapter + self.activations)
            memory = f"memory about {total}: {', '.join(parts)}, activations {gigabytes(self.activations)}"
        time = f"about {scan}{seconds(self.learning + self.sampling)} for training"
        return f"training {self.rows} rows{sampled} in {self.steps} steps: {time}; {memory}"


def tell_scan(inputs: Inputs, batch_size: int, dry_run: bool, column: str) -> None:
    """Say what scoring will take, if it is long or only asked for; `column` is what rows are flagged by."""
    if not dry_run and len(inputs.rows) < LONG:
        return
    forward, passes = forward_seconds(inputs, batch_size), PASSES.get(column, 1)
    total = passes * forward * len(inputs.rows) / current_shard().num_shards
    memory = f"weights {gigabytes(weight_bytes(inputs.model))}, activations come on top"
    times = {1: "", 2: " twice"}.get(passes, f" {passes} times")
    adapting = f" and at most {seconds(ADAPTING * forward)} for the adaptation" if column == EVIDENCE else ""
    say(f"scoring {len(inputs.rows)} rows{times}: about {seconds(total)}{adapting}; {memory}")


def estimate_training(
    inputs: Inputs, config: "ByornConfig", *, flagged: int, adapter: int, column: str | None = None
) -> TrainingEstimate:
    """What training these rows will take, a step taken as `STEP` forward passes.

    Args:
        inputs: Rows and the pretrained model.
        config: How they are trained on.
        flagged: Rows whose responses are sampled.
        adapter: Weights of the adapter.
        column: What rows are flagged by; None where that is known already.
    """
    from byorn.training.responses import rows_at_once
    from byorn.training.sampler import visited

    batch = config.per_device_train_batch_size
    rows = len(inputs.rows)
    drawn = visited(rows - flagged, flagged, config.max_flagged_share)
    epoch = rows - flagged + drawn
    forward = forward_seconds(inputs, batch)
    sampling = sampling_seconds(inputs, rows_at_once(config, config.response_block)) if flagged else 0.0
    steps = planned_steps(epoch, config)
    visits = steps * rows_a_step(config) / config.world_size  # of each process
    scoring = PASSES.get(column, 1) * forward * rows / config.world_size if column else 0.0
    return TrainingEstimate(
        rows=rows, flagged=flagged, steps=steps, scoring=scoring + (ADAPTING * forward if column == EVIDENCE else 0.0),
        learning=STEP * forward * visits, sampling=sampling * visits * drawn / epoch, visits=visits,
        sampled=visits * drawn / epoch, weights=weight_bytes(inputs.model), adapter=OPTIMIZER_BYTES * adapter,
    )  # fmt: skip


def rows_a_step(config: "ByornConfig") -> int:
    """Rows of an optimizer step over all processes."""
    rows: int = config.train_batch_size * config.world_size * config.gradient_accumulation_steps
    return rows


def planned_steps(rows: int, config: "ByornConfig") -> int:
    """Optimizer steps of a run, to within the left-over rows of an epoch."""
    if config.max_steps > 0:
        return config.max_steps
    return round(config.num_train_epochs * -(-rows // rows_a_step(config)))


def forward_seconds(inputs: Inputs, batch_size: int) -> float:
    """Seconds a row of a forward pass, from batches of the longest, middle and shortest rows; one more warms up."""
    from byorn.models.template import end_ids
    from byorn.scoring.likelihood import build_collator, scoring, token_log_probs

    batches = list(_spread(shard_batches(length_order(inputs.dataset), batch_size, WHOLE)))
    collator = build_collator(inputs.processor)
    ends = end_ids(inputs.model, inputs.processor)
    with scoring(inputs.model):

        def run(batch: list[int]) -> float:
            began = time.perf_counter()
            token_log_probs(inputs.model, collator, [inputs.dataset[index] for index in batch], ends)
            return time.perf_counter() - began

        run(batches[0])
        return sum(run(batch) for batch in batches) / sum(map(len, batches))


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


def _learn(trainer: "ByornTrainer", batch: list[int]) -> float:
    """Seconds of a forward and a backward pass."""
    began = time.perf_counter()
    samples = [
        {key: trainer.train_dataset[index][key] for key in ("prompt", "completion", "images")} for index in batch
    ]
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


def sampling_seconds(inputs: Inputs, batch_size: int) -> float:
    """Seconds a row of generating a response of middle length; greedy decoding draws nothing."""
    from byorn.models.generate import generate
    from byorn.training.sampling import learned_length_limit

    order = length_order(inputs.dataset)
    batch = [inputs.dataset[index] for index in order[len(order) // 2 :][:batch_size]]
    limit = learned_length_limit(inputs.processor, [row.response for row in inputs.rows])
    began = time.perf_counter()
    generate(inputs.model, inputs.processor, batch, max_new_tokens=limit)
    return (time.perf_counter() - began) / len(batch)


def weight_bytes(model: "PreTrainedModel") -> int:
    """Bytes of all parameters as they lie in the memory of a process."""
    total = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    return total // current_shard().num_shards if is_sharded(model) else total


def gigabytes(count: float) -> str:
    """Bytes as people say them: `14.2 GB`, `12 MB`."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _spread(batches: list[list[int]]) -> Iterator[list[int]]:
    """The first, the middle and the last."""
    yield from (batches[index] for index in sorted({0, len(batches) // 2, len(batches) - 1}))
