"""What a dry run times, told by stand-ins."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import torch

from byorn.pipeline.measured import kept_bytes


class CountingRows:
    """A data set that decodes the images of a row whenever it is read."""

    def __init__(self) -> None:
        self.read: list[int] = []

    def __getitem__(self, number: int) -> dict[str, Any]:
        self.read.append(number)
        return {"prompt": [], "completion": [], "images": []}


def test_a_timed_step_reads_each_of_its_rows_once() -> None:
    rows, model = CountingRows(), torch.nn.Linear(2, 1)
    trainer: Any = SimpleNamespace(
        train_dataset=rows,
        model=model,
        data_collator=lambda samples: torch.ones(len(samples), 2),
        compute_loss=lambda model, inputs: model(inputs).sum(),
        compute_loss_context_manager=nullcontext,
        _prepare_inputs=lambda inputs: inputs,
    )
    kept_bytes(trainer, [3, 1])
    assert rows.read == [3, 1]
