"""bfloat16, as autocast or as the type of the weights: the average stays exact, scores stay close, sampling works."""

import numpy as np
import pytest
import torch
from peft import get_peft_model
from runner import adapters, build, losses
from transformers import TrainerCallback

from byorn.data.dataset import to_dataset
from byorn.models.load import load_model, load_processor
from byorn.models.lora import default_lora
from byorn.scoring.score import score_dataset
from byorn.testing import tiny_model, tiny_rows
from byorn.training.ema import adapter_pairs

DECAY = 0.999
SAVING = {"save_strategy": "steps", "save_steps": 3}


class Diary(TrainerCallback):
    """The student and the average after each step."""

    def __init__(self, model):
        self.start = [value.clone() for value in adapter_pairs(model)[0]]
        self.students, self.averages = [], []

    def on_step_end(self, args, state, control, model=None, **kwargs):
        averages, students = adapter_pairs(model)
        self.averages.append([value.clone() for value in averages])
        self.students.append([value.detach().clone() for value in students])


def bfloat16_weights():
    """PEFT makes the adapter float32 on such a model."""
    return tiny_model().bfloat16()


def bfloat16_throughout():
    model = bfloat16_weights()
    return get_peft_model(model, default_lora(model, rank=4), autocast_adapter_dtype=False)


KINDS = {
    "autocast": (tiny_model, {"bf16": True}, torch.float32),
    "weights": (bfloat16_weights, {}, torch.float32),
    "weights and autocast": (bfloat16_weights, {"bf16": True}, torch.float32),
    "weights and adapter": (bfloat16_throughout, {}, torch.bfloat16),
}


def prepared(folder, kind, **changes):
    model, arguments, _ = KINDS[kind]
    return build(folder, model=model(), ema_decay=DECAY, **arguments, **changes)


@pytest.mark.parametrize("kind", KINDS)
def test_the_average_is_float32_and_its_recurrence_exact(tmp_path, kind):
    trainer = prepared(tmp_path, kind, max_steps=4)
    diary = Diary(trainer.model)
    trainer.add_callback(diary)
    trainer.train()
    expected = [value.double() for value in diary.start]
    for students, averages in zip(diary.students, diary.averages, strict=True):
        expected = [DECAY * old + (1 - DECAY) * new.double() for old, new in zip(expected, students, strict=True)]
        for found, wanted in zip(averages, expected, strict=True):
            assert found.dtype == torch.float32
            torch.testing.assert_close(found.double(), wanted, atol=1e-7, rtol=1e-6)
    assert {value.dtype for value in diary.students[-1]} == {KINDS[kind][2]}
    moved = [not torch.equal(start, value) for start, value in zip(diary.start, diary.averages[-1], strict=True)]
    assert all(moved)
    assert all(np.isfinite(losses(trainer)))


def test_a_bfloat16_average_would_stand_still():
    """Why it is float32: a step of a thousandth is less than half of bfloat16's spacing."""
    average, student = torch.full((8,), 0.5), torch.full((8,), 0.75)
    stuck = average.bfloat16()
    stuck.lerp_(student.bfloat16(), 1 - DECAY)
    assert torch.equal(stuck, average.bfloat16())
    assert not torch.equal(average.lerp(student, 1 - DECAY), average)


def test_autocast_is_really_on_while_training_and_off_while_sampling(tmp_path):
    """With float32 weights the responses are sampled in float32: casting all weights for each token would only cost."""
    trainer, types = prepared(tmp_path, "autocast", max_steps=2), {True: set(), False: set()}
    layer = next(module for name, module in trainer.model.named_modules() if name.endswith("q_proj.base_layer"))
    layer.register_forward_hook(lambda module, args, output: types[module.training].add(output.dtype))
    trainer.train()
    assert trainer.tally.counts["replaced"] == 4
    assert types == {True: {torch.bfloat16}, False: {torch.float32}}


@pytest.mark.parametrize("kind", ["weights", "weights and adapter"])
def test_a_resumed_run_is_equal_to_the_last_bit_and_its_average_float32(tmp_path, kind):
    runs = []
    for resume in (None, str(tmp_path / "checkpoint-3")):
        trainer = prepared(tmp_path, kind, max_steps=5, **SAVING)
        trainer.train(resume_from_checkpoint=resume)
        runs.append(adapters(trainer))
    assert {name: value.dtype for name, value in runs[0].items()} == {name: v.dtype for name, v in runs[1].items()}
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])
    assert {value.dtype for name, value in runs[1].items() if ".ema." in name} == {torch.float32}


def test_bfloat16_responses_are_drawn_again_the_same_and_do_not_all_agree(tmp_path):
    trainer = prepared(tmp_path, "weights and adapter", max_response_tokens=8)
    rows = list(trainer.train_dataset.select(range(6)))
    first, again, later = (trainer.source(trainer.model, rows, step) for step in (0, 0, 1))
    assert first == again
    assert all(a.text != b.text for a, b in zip(first, later, strict=True))
    assert len({response.text for response in first}) == 6


def test_scores_of_a_bfloat16_model_stay_close_to_those_in_float32():
    """The head is float32 either way; what is left is the rounding of the hidden states."""
    processor, rows = load_processor("embedded"), to_dataset(tiny_rows(24))
    exact, rounded = (
        score_dataset(load_model("embedded", dtype=dtype, device="cpu"), processor, rows).nll
        for dtype in ("float32", "bfloat16")
    )
    difference = np.abs(exact - rounded)
    assert 0 < difference.max() < 0.1
    assert difference.mean() < 0.03
    assert len(set(rounded)) == len(set(exact))  # scores in bfloat16 would fall together
