"""What a dry run times, told by stand-ins."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from byorn.data.dataset import to_dataset
from byorn.models.inputs import Inputs
from byorn.pipeline.estimate import tell_scan
from byorn.pipeline.measured import adapting_bytes, kept_bytes
from byorn.scoring.statistics import EVIDENCE
from byorn.testing import tiny_model, tiny_processor, tiny_rows


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


@pytest.fixture
def inputs() -> Inputs:
    rows = tiny_rows(4)
    model: Any = tiny_model()
    return Inputs(
        rows=rows, dataset=to_dataset(rows), model=model.eval(), processor=tiny_processor(), identity={}, rejects=0
    )


def test_an_adaptation_is_tried_and_the_model_is_as_it_was(inputs: Inputs) -> None:
    before = {name: weight.clone() for name, weight in inputs.model.state_dict().items()}
    peak = adapting_bytes(inputs, 2)
    assert peak is not None
    assert peak > sum(weight.nbytes for weight in before.values())
    after = inputs.model.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], weight) for name, weight in before.items())
    assert not any(weight.grad is not None for weight in inputs.model.parameters())


def test_the_memory_of_an_idle_gpu_is_not_that_of_a_scan_on_the_processor(
    inputs: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert adapting_bytes(inputs, 2) is None


def test_what_does_not_fit_stops_no_dry_run(
    inputs: Inputs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def short(model: object, batch: object) -> None:
        raise torch.OutOfMemoryError

    tell_scan(inputs, 2, True, EVIDENCE)
    assert "learns 2 rows at once, fewer if need be" in capsys.readouterr().err
    monkeypatch.setattr("byorn.pipeline.measured.loss_of", short)
    tell_scan(inputs, 2, True, EVIDENCE)
    assert "activations come on top" in capsys.readouterr().err
