"""Numbers that are no longer finite stop a run; they reach neither a checkpoint nor an export."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from runner import build
from safetensors.torch import load_file
from transformers import TrainerControl, TrainerState

from byorn.errors import TrainingError
from byorn.training.finite import PATIENCE, FiniteGradients


def test_a_learning_rate_that_explodes_stops_with_the_step_and_the_last_good_checkpoint(tmp_path):
    trainer = build(tmp_path, learning_rate=1e30, save_strategy="steps", save_steps=1)
    with pytest.raises(TrainingError, match=r"step 2: the gradient is not finite.*below 1e\+30.*checkpoint-1 stays"):
        trainer.train()
    kept = [path.name for path in tmp_path.glob("checkpoint-*")]
    assert kept == ["checkpoint-1"]
    weights = load_file(tmp_path / "checkpoint-1" / "adapter_model.safetensors")
    assert all(torch.isfinite(value).all() for value in weights.values())


@pytest.mark.parametrize("internal", [False, True])
def test_weights_that_are_not_finite_are_not_written(tmp_path, internal):
    trainer = build(tmp_path / "run")
    next(value for name, value in trainer.model.named_parameters() if "lora_B" in name).data[0, 0] = math.nan
    with pytest.raises(TrainingError, match=r"1 tensor\(s\) of the adapter are not finite, first .*lora_B"):
        trainer.save_model(str(tmp_path / "out"), _internal_call=internal)
    assert not (tmp_path / "out").exists()


def test_a_loss_scaler_may_skip_steps_for_a_while_and_not_for_ever():
    model: Any = torch.nn.Linear(1, 1)
    arguments: Any = SimpleNamespace(fp16=True, output_dir=None, learning_rate=1e-4)
    callback = FiniteGradients()

    def step(gradient):
        for parameter in model.parameters():
            parameter.grad = torch.full_like(parameter, gradient)
        callback.on_pre_optimizer_step(arguments, TrainerState(), TrainerControl(), model=model)

    for gradient in [*[math.inf] * (PATIENCE - 1), 1.0, *[math.inf] * (PATIENCE - 1)]:
        step(gradient)
    with pytest.raises(TrainingError, match="bf16 instead of fp16"):
        step(math.inf)
