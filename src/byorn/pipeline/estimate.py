"""What a run will take, said before it begins: rows, steps, time from a few timed batches, memory.

    scan      rows x f,                                   f: seconds a row of a forward pass, timed
    training  epochs x (rows x 3 f + flagged x g),        g: seconds a row of sampling, timed; a backward pass counts as two forward ones

Estimates are of this device and these rows; nothing random is drawn and nothing of the model changes.
"""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from byorn.models.inputs import Inputs
from byorn.runs.batches import WHOLE, length_order, shard_batches
from byorn.runs.narrate import say, seconds
from byorn.runs.ranks import current_shard

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from byorn.training.config import ByornConfig

LONG = 1000
"""Rows from which on a run is estimated before it begins; shorter ones are soon over, and their bar tells."""
BATCHES = 3
OPTIMIZER_BYTES = 4 + 4 + 4 + 8
"""Of each adapter weight in float32: the weight, its gradient, its average, and Adam's two moments."""


def tell_scan(inputs: Inputs, batch_size: int, dry_run: bool) -> None:
    """Say what scoring will take, if it is long or only asked for."""
    if not dry_run and len(inputs.rows) < LONG:
        return
    total = forward_seconds(inputs, batch_size) * len(inputs.rows) / current_shard().num_shards
    say(
        f"scoring {len(inputs.rows)} rows: about {seconds(total)}; weights {gigabytes(weight_bytes(inputs.model))}, activations come on top"
    )


def tell_training(inputs: Inputs, config: "ByornConfig", adapter_weights: int, samples: bool) -> None:
    """Say what training will take; `samples`: whether flagged responses are sampled."""
    forward = forward_seconds(inputs, config.per_device_train_batch_size)
    rows, flagged = len(inputs.rows), round((1 - config.percentile) * len(inputs.rows)) if samples else 0
    steps = planned_steps(rows, config)
    epochs = steps * rows_a_step(config) / rows
    sampling = sampling_seconds(inputs, config.per_device_train_batch_size) if samples else 0.0
    total = epochs * (3 * forward * rows + sampling * flagged) / config.world_size
    say(
        f"training {rows} rows, about {flagged} with sampled responses, in {steps} steps: about {seconds(forward * rows)} for the scan and "
        f"{seconds(total)} for training; weights {gigabytes(weight_bytes(inputs.model))}, adapter with optimizer and average "
        f"{gigabytes(OPTIMIZER_BYTES * adapter_weights)}, activations come on top"
    )


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
    """Seconds a row of a forward pass, from `BATCHES` batches of the longest, middle and shortest rows; one more warms up."""
    from byorn.models.template import end_ids
    from byorn.scoring.likelihood import build_collator, scoring, token_log_probs

    batches = list(_spread(shard_batches(length_order(inputs.dataset), batch_size, WHOLE)))
    collator, ends = build_collator(inputs.processor), end_ids(inputs.model, inputs.processor)
    with scoring(inputs.model):

        def run(batch: list[int]) -> float:
            began = time.perf_counter()
            token_log_probs(inputs.model, collator, [inputs.dataset[index] for index in batch], ends)
            return time.perf_counter() - began

        run(batches[0])
        return sum(run(batch) for batch in batches) / sum(map(len, batches))


def sampling_seconds(inputs: Inputs, batch_size: int) -> float:
    """Seconds a row of generating a response of middle length."""
    from byorn.models.generate import generate

    order = length_order(inputs.dataset)
    batch = [inputs.dataset[index] for index in order[len(order) // 2 :][:batch_size]]
    tokens = max(
        len(inputs.processor.tokenizer(inputs.rows[index].response)["input_ids"])
        for index in order[len(order) // 2 :][:batch_size]
    )
    began = time.perf_counter()
    generate(inputs.model, inputs.processor, batch, max_new_tokens=tokens)
    return (time.perf_counter() - began) / len(batch)


def weight_bytes(model: "PreTrainedModel") -> int:
    """Bytes of all parameters as they lie in memory."""
    return sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())


def gigabytes(count: float) -> str:
    """Bytes as people say them: `14.2 GB`, `12 MB`."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _spread(batches: list[list[int]]) -> Iterator[list[int]]:
    """The first, the middle and the last."""
    yield from (batches[index] for index in sorted({0, len(batches) // 2, len(batches) - 1}))
