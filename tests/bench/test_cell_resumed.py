"""A killed cell goes on from its checkpoint and ends as if nothing had happened."""

import pytest
import torch
from safetensors.torch import load_file

from byorn.bench.cell import close, goes_on, prepare, run_cell
from byorn.bench.experiment import read_experiment
from byorn.training.trainer import ByornTrainer

FILE = """
title: Long cells
rows: 16
test_rows: 4
seeds: [0]
attacks: {badnets: {options: {size: 0.25}}}
rates: [0.25]
defenses: [byorn]
ema_decays: [0.5]
arguments: {max_steps: 4, per_device_train_batch_size: 4, save_strategy: steps, save_steps: 1, learning_rate: 5.0e-3}
"""


@pytest.fixture
def cell(tmp_path):
    (tmp_path / "long.yaml").write_text(FILE)
    experiment = read_experiment(tmp_path / "long.yaml")
    (group,) = experiment.groups()
    (cell,) = experiment.cells(group)
    return cell


@pytest.fixture
def straight(cell, tmp_path):
    """A run in one piece: its folder, renamed, and its result."""
    folder = tmp_path / "work"
    result = run_cell(cell, prepare(cell.group, folder), folder)
    return (folder / cell.slug).rename(folder / "straight"), result


def weights(folder):
    return load_file(folder / "adapter" / "adapter_model.safetensors")


def same(cell, resumed, straight, tmp_path):
    """A run in two pieces has the adapter and the figures of the one in one piece."""
    before, after = weights(straight[0]), weights(tmp_path / "work" / cell.slug)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert resumed.figures.as_dict() == straight[1].figures.as_dict()
    assert (straight[1].resumed, resumed.resumed) == (False, True)
    assert resumed.training["steps"] == straight[1].training["steps"] == 4


def test_a_cell_that_is_killed_in_training_goes_on_from_its_checkpoint(cell, straight, tmp_path, monkeypatch):
    whole, made = ByornTrainer.training_step, []

    def step_or_die(self, *args, **options):
        made.append(1)
        if len(made) == 3:
            raise KeyboardInterrupt
        return whole(self, *args, **options)

    monkeypatch.setattr(ByornTrainer, "training_step", step_or_die)
    folder = tmp_path / "work"
    shared = prepare(cell.group, folder)
    with pytest.raises(KeyboardInterrupt):
        run_cell(cell, shared, folder)
    same(cell, run_cell(cell, shared, folder), straight, tmp_path)
    assert len(made) == 3 + 2


def test_a_cell_that_is_killed_while_it_is_judged_is_not_trained_again(cell, straight, tmp_path, monkeypatch):
    folder = tmp_path / "work"
    shared = prepare(cell.group, folder)
    with monkeypatch.context() as patch:
        patch.setattr("byorn.bench.cell.judge", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run_cell(cell, shared, folder)
    monkeypatch.setattr(ByornTrainer, "train", lambda *args, **options: pytest.fail("trained again"))
    same(cell, run_cell(cell, shared, folder), straight, tmp_path)


def test_a_cell_with_a_result_starts_anew_when_the_result_is_deleted(tmp_path):
    out, settings = tmp_path / "cell", {"cell": 1}
    goes_on(out, settings)
    (out / "checkpoints").mkdir()
    (out / "training.json").write_text("{}")
    assert goes_on(out, settings)
    close(out)
    assert not (out / "checkpoints").exists()
    assert not goes_on(out, settings)
    assert not (out / "training.json").exists()


def test_what_other_settings_left_is_thrown_away(tmp_path):
    out, settings = tmp_path / "cell", {"cell": 1}
    assert not goes_on(out, settings)
    checkpoint = out / "bye" / "checkpoints" / "checkpoint-1"
    checkpoint.mkdir(parents=True)
    assert not goes_on(out, settings), "a checkpoint that was not written to its end is none"
    (checkpoint / "trainer_state.json").write_text("{}")
    assert goes_on(out, settings)
    assert not goes_on(out, {"cell": 2})
    assert not checkpoint.exists()
