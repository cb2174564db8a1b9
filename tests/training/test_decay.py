"""The decay that nobody names follows from the length of the run; one that is named wins, with a warning where it
would ruin the run.
"""

import pytest
from runner import EPOCH, build
from transformers import TrainerCallback

from byorn.training.decay import decay_for


@pytest.mark.parametrize(("steps", "memory"), [(4, 1), (10, 1), (150, 15), (1000, 100), (50_000, 100)])
def test_the_memory_is_a_tenth_of_the_run_and_at_most_a_hundred_steps(steps, memory):
    decay = decay_for(None, steps)
    assert decay.value == pytest.approx(1 - 1 / memory)
    assert f"a memory of {memory}" in decay.reason
    assert not decay.warning


@pytest.mark.parametrize(
    ("given", "steps", "warned"), [(0.99, 150, True), (0.99, 300, False), (0.95, 150, False), (1.0, 10**6, True)]
)
def test_a_decay_that_is_given_wins_and_is_warned_about_over_a_third_of_the_run(given, steps, warned):
    decay = decay_for(given, steps)
    assert decay.value == given
    assert bool(decay.warning) == warned


class OneStep(TrainerCallback):
    """The decay is known when a run begins; it need not go on."""

    def on_step_end(self, args, state, control, **kwargs):
        control.should_training_stop = True


def one_step(folder, **changes):
    trainer = build(folder, ema_decay=None, **changes)
    trainer.add_callback(OneStep())
    return trainer


def test_a_resumed_run_has_the_decay_of_the_straight_one_and_the_card_says_it(tmp_path):
    saving = {"save_strategy": "steps", "save_steps": 1, "max_steps": 20}
    straight = one_step(tmp_path, **saving)
    straight.train()
    resumed = one_step(tmp_path, **saving)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-1"))
    assert resumed.state.global_step == 2
    assert straight.average.decay == resumed.average.decay == decay_for(None, 20)
    resumed.create_model_card()
    assert "decay 0.5, a memory of 2 steps, 10% of the run's 20" in (tmp_path / "README.md").read_text()


def test_epochs_and_steps_give_the_same_decay(tmp_path):
    by_steps = one_step(tmp_path / "steps", max_steps=150)
    by_epochs = one_step(tmp_path / "epochs", max_steps=-1, num_train_epochs=150 / EPOCH)
    for trainer in (by_steps, by_epochs):
        trainer.train()
    assert by_steps.average.decay == by_epochs.average.decay == decay_for(None, 150)
