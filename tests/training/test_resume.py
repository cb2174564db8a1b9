"""A run that was killed and resumed ends as the run that was not."""

import signal
from pathlib import Path

import pytest
import torch
from runner import adapters, build, losses, record

from launching import python

SAVING = {"save_strategy": "steps", "save_steps": 3}


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """The folder of a run that lost its power after step 8 of 10, in its second epoch; the last checkpoint is of
    step 6.
    """
    folder = tmp_path_factory.mktemp("killed")
    done = python(str(Path(__file__).with_name("runner.py")), str(folder), "--kill-at", "8", cwd=folder)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    return folder


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    trainer = build(tmp_path_factory.mktemp("straight"), **SAVING)
    steps = record(trainer)
    trainer.train()
    return trainer, steps


@pytest.fixture(scope="module")
def resumed(killed):
    trainer = build(killed, **SAVING)
    steps = record(trainer)
    trainer.train(resume_from_checkpoint=str(killed / "checkpoint-6"))
    return trainer, steps


def test_the_kill_left_a_checkpoint_and_no_result(killed):
    assert {path.name for path in killed.glob("checkpoint-*")} >= {"checkpoint-3", "checkpoint-6"}
    assert not (killed / "straight.safetensors").exists()


def test_student_and_average_are_equal_to_the_last_bit(straight, resumed):
    expected, found = adapters(straight[0]), adapters(resumed[0])
    assert any(".ema." in name for name in expected)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_the_resumed_run_sees_the_same_steps_and_samples_the_same_responses(straight, resumed):
    assert [step["step"] for step in resumed[1]] == [6, 7, 8, 9]
    assert resumed[1] == straight[1][6:]
    assert {step["flagged"] for step in resumed[1]} == {True, False}
    assert losses(resumed[0])[-4:] == losses(straight[0])[-4:]


def test_the_average_is_still_frozen_and_float32_after_a_resume(resumed):
    average = [value for name, value in resumed[0].model.named_parameters() if ".ema." in name]
    assert {value.dtype for value in average} == {torch.float32}
    assert not any(value.requires_grad for value in average)


def test_a_bfloat16_model_resumes_to_the_last_bit_too(tmp_path):
    from byorn.testing import tiny_model

    runs = []
    for resume in (None, str(tmp_path / "checkpoint-3")):
        trainer = build(tmp_path, model=tiny_model().bfloat16(), max_steps=5, **SAVING)
        trainer.train(resume_from_checkpoint=resume)
        runs.append(adapters(trainer))
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])
    assert {value.dtype for name, value in runs[1].items() if ".ema." in name} == {torch.float32}


def test_a_resumed_run_counts_the_responses_of_the_whole_run(straight, resumed):
    assert straight[0].tally.total["replaced"] == 4 * 4  # two flagged steps an epoch
    assert resumed[0].tally.total == straight[0].tally.total


@pytest.mark.parametrize("length", [{"max_steps": 4}, {"max_steps": -1, "num_train_epochs": 1.4}])
def test_a_run_that_has_made_its_last_step_makes_no_other(tmp_path, length):
    trainer = build(tmp_path, **SAVING, **length)
    trainer.train()
    last = trainer.state.global_step
    again = build(tmp_path, **SAVING, **length)
    steps = record(again)
    again.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{last}"))
    assert again.state.global_step == last
    assert not [step for step in steps if step["tokens"]]
    assert again.tally.total == trainer.tally.total
    assert all(torch.equal(value, adapters(again)[name]) for name, value in adapters(trainer).items())
