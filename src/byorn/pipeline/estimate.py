"""What a run will take, said before it begins: rows, steps, time from a few timed batches (`byorn.pipeline.measured`),
memory.

    scan      passes x rows x f,                          f: seconds a row of a forward pass, timed
              and by evidence at most `adapting` x f      for the adaptation
    training  epochs x (rows x t + flagged x g),          t: seconds a row of a training step, else `STEP` x f
                                                          g: seconds a row of sampling a response, timed
    memory    weights + adapter with optimizer and average + what a forward pass keeps for the backward one

Estimates are of this device and these rows. A dry run times a training step; before a real run nothing random is drawn,
and the model stays as it was.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from byorn.models.inputs import Inputs
from byorn.models.sharding import is_sharded
from byorn.pipeline.measured import Measured, adapting_bytes, forward_seconds, sampling_seconds
from byorn.pipeline.seeing import tell_seeing
from byorn.runs.narrate import say, seconds
from byorn.runs.ranks import current_shard
from byorn.scoring.adaptation import BATCH, PROBED, longest
from byorn.scoring.learning_curve import LOOK
from byorn.scoring.statistics import EVIDENCE, PASSES

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from byorn.training.config import ByornConfig

LONG = 1000
"""Rows from which on a run is estimated before it begins; shorter ones are soon over, and their bar tells."""
STEP = 3
"""A training step in forward passes: one forward, one backward through the frozen layers, one for the adapter or the
recomputation of activations.
"""
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

    def tried(self, measured: Measured) -> "TrainingEstimate":
        """The same with what `byorn.pipeline.measured.measure` found."""
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
    memory = _scan_memory(inputs, batch_size, dry_run and column == EVIDENCE)
    times = {1: "", 2: " twice"}.get(passes, f" {passes} times")
    first = f" and at most {seconds(adapting(inputs.model, len(inputs.rows)) * forward)} for the adaptation"
    say(
        f"scoring {len(inputs.rows)} rows{times}: about {seconds(total)}{first if column == EVIDENCE else ''}; {memory}"
    )
    tell_seeing(inputs, batch_size)


def _scan_memory(inputs: Inputs, batch_size: int, adapts: bool) -> str:
    """The memory of a scan in words; by trying it, where it adapts and that is asked for."""
    weights = f"weights {gigabytes(weight_bytes(inputs.model))}"
    peak = adapting_bytes(inputs, batch_size) if adapts and not is_sharded(inputs.model) else None
    if peak is None:
        return f"{weights}, activations come on top"
    where = "of the GPU" if inputs.model.device.type == "cuda" else "with all libraries"
    rows = min(batch_size, len(inputs.rows))
    return f"memory about {gigabytes(peak)} {where}, {weights} of it; learns {rows} rows at once, fewer if need be"


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
    from byorn.training.processes import rows_a_step
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
    scoring += adapting(inputs.model, rows) * forward if column == EVIDENCE else 0.0
    return TrainingEstimate(
        rows=rows, flagged=flagged, steps=steps, scoring=scoring,
        learning=STEP * forward * visits, sampling=sampling * visits * drawn / epoch, visits=visits,
        sampled=visits * drawn / epoch, weights=weight_bytes(inputs.model), adapter=OPTIMIZER_BYTES * adapter,
    )  # fmt: skip


def adapting(model: Any, rows: int) -> int:
    """Of an adaptation to either half of the rows, at most, in forward passes of a row: its steps and its looks; of
    several processes each takes one half, unless they share weights.
    """
    steps = longest(rows // 2)
    halves = 2 if current_shard().num_shards == 1 or is_sharded(model) else 1
    return STEP * halves * steps * BATCH + PROBED * (steps // LOOK + 1)


def planned_steps(rows: int, config: "ByornConfig") -> int:
    """Optimizer steps of a run, to within the left-over rows of an epoch."""
    from byorn.training.processes import rows_a_step

    if config.max_steps > 0:
        return config.max_steps
    return round(config.num_train_epochs * -(-rows // rows_a_step(config)))


def weight_bytes(model: "PreTrainedModel") -> int:
    """Bytes of all parameters as they lie in the memory of a process."""
    total = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    return total // current_shard().num_shards if is_sharded(model) else total


def gigabytes(count: float) -> str:
    """Bytes as people say them: `14.2 GB`, `12 MB`."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
