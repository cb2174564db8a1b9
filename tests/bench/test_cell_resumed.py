"""A killed cell goes on from its checkpoint and ends as if nothing had happened."""

import pytest

from byorn.bench.cell import goes_on, prepare, run_cell
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


def kill_at(step, monkeypatch):
    """The training step with that number, from 1, raises; those before it are the trainer's own."""
    whole, made = ByornTrainer.training_step, []

    def step_or_die(self, *args, **options):
        made.append(1)
        if len(made) == step:
            raise KeyboardInterrupt
        return whole(self, *args, **options)

    monkeypatch.setattr(ByornTrainer, "training_step", step_or_die)
    return made


def test_a_killed_cell_goes_on_and_its_figures_are_those_of_a_straight_run(cell, tmp_path, monkeypatch):
    folder = tmp_path / "work"
    shared = prepare(cell.group, folder)
    straight = run_cell(cell, shared, folder)
    (folder / cell.slug).rename(folder / "straight")
    with monkeypatch.context() as patch:
        kill_at(3, patch)
        with pytest.raises(KeyboardInterrupt):
            run_cell(cell, shared, folder)
    with monkeypatch.context() as patch:
        made = kill_at(0, patch)
        resumed = run_cell(cell, shared, folder)
    assert len(made) == 2
    assert (straight["resumed"], resumed["resumed"]) == (False, True)
    assert resumed["figures"] == straight["figures"]
    assert resumed["training"]["steps"] == straight["training"]["steps"] == 4
    assert not (folder / cell.slug / "checkpoints").exists()


def test_checkpoints_of_other_settings_are_thrown_away(tmp_path):
    out, settings = tmp_path / "cell", {"cell": 1}
    assert not goes_on(out, settings)
    (out / "checkpoints" / "checkpoint-1").mkdir(parents=True)
    assert goes_on(out, settings)
    assert not goes_on(out, {"cell": 2})
    assert not (out / "checkpoints").exists()
