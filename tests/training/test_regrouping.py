"""How a step's rows are split into batches changes nothing but rounding."""

import pytest
import torch
from runner import adapters, build, losses, record


def run(folder, batch, accumulation):
    trainer = build(folder, per_device_train_batch_size=batch, gradient_accumulation_steps=accumulation, max_steps=6)
    steps = record(trainer)
    trainer.train()
    return losses(trainer), steps, adapters(trainer)


def test_eight_rows_a_step_are_the_same_step_in_one_two_or_four_batches(tmp_path):
    expected, steps, weights = run(tmp_path / "8x1", 8, 1)
    assert [step["flagged"] for step in steps].count(True) == 2
    for batch, accumulation in ((4, 2), (2, 4)):
        found = run(tmp_path / f"{batch}x{accumulation}", batch, accumulation)
        # losses are near 5: float32 rounds at 5e-7, and padding changes the order of the sums
        assert found[0] == pytest.approx(expected, abs=1e-5)
        assert found[1] == steps
        for name, value in found[2].items():
            torch.testing.assert_close(value, weights[name], atol=1e-4, rtol=0)
