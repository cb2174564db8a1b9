"""Without flags a ByornTrainer is TRL's SFTTrainer, bit for bit."""

import pytest
import torch
from runner import FLAGGED, ROWS, adapters, build, losses, settings
from trl import SFTTrainer

from byorn.data.dataset import to_dataset
from byorn.models.lora import default_lora
from byorn.testing import tiny_model, tiny_processor, tiny_rows
from byorn.training.trainer import ByornTrainer

GROUPING = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2, "max_steps": 6}


def lora(model):
    return default_lora(model, dropout=0.1)  # dropout draws from the global random state: nothing may have touched it


def plain(folder, rows):
    processor = tiny_processor()
    model = tiny_model(processor=processor)
    dataset, args = to_dataset(rows), settings(folder, **GROUPING)
    return SFTTrainer(model, args, train_dataset=dataset, processing_class=processor, peft_config=lora(model))


def trained(trainer):
    """Its adapters and its losses; building a trainer seeds dropout, so train it before the next one is built."""
    trainer.train()
    return adapters(trainer), losses(trainer)


def assert_same_run(first, second):
    assert first[0].keys() == second[0].keys()
    assert all(torch.equal(value, second[0][name]) for name, value in first[0].items())
    assert len(first[1]) == 6
    assert first[1] == second[1]


def test_a_run_with_no_flagged_row_is_plain_fine_tuning(tmp_path):
    model = tiny_model(processor=tiny_processor())
    ours = trained(build(tmp_path / "a", model=model, flagged=[False] * ROWS, peft_config=lora(model), **GROUPING))
    assert_same_run(ours, trained(plain(tmp_path / "b", tiny_rows(ROWS))))


def test_scoring_first_leaves_no_trace_in_the_training_that_follows(tmp_path):
    processor = tiny_processor()
    model = tiny_model(processor=processor)
    args = settings(tmp_path / "a", rule="paper", percentile=1.0, **GROUPING)  # trusts every row, after scoring it
    dataset = to_dataset(tiny_rows(ROWS))
    ours = ByornTrainer(model, args, train_dataset=dataset, processing_class=processor, peft_config=lora(model))
    assert ours.tally.seconds["scoring"] > 0
    assert_same_run(trained(ours), trained(plain(tmp_path / "b", tiny_rows(ROWS))))


def test_the_default_rule_that_flags_nothing_leaves_no_trace_either(tmp_path):
    """It puts two adapters onto the model, trains them and takes them off again: nothing may be left of that."""
    processor = tiny_processor()
    model = tiny_model(processor=processor)
    dataset, args = to_dataset(tiny_rows(ROWS)), settings(tmp_path / "a", **GROUPING)
    ours = ByornTrainer(model, args, train_dataset=dataset, processing_class=processor, peft_config=lora(model))
    assert ours.flags.rule == "evidence"
    assert not ours.flagged.any()
    assert list(ours.model.peft_config) == ["default"]
    assert_same_run(trained(ours), trained(plain(tmp_path / "b", tiny_rows(ROWS))))


def test_dropping_flagged_rows_is_plain_fine_tuning_on_the_rest(tmp_path):
    model = tiny_model(processor=tiny_processor())
    ours = trained(build(tmp_path / "a", model=model, replacement="drop", peft_config=lora(model), **GROUPING))
    rest = [row for row, flag in zip(tiny_rows(ROWS), FLAGGED, strict=True) if not flag]
    assert_same_run(ours, trained(plain(tmp_path / "b", rest)))


@pytest.mark.parametrize("flagged", [[True] * ROWS, FLAGGED])
def test_flags_do_change_the_run(tmp_path, flagged):
    ours = trained(build(tmp_path / "a", flagged=flagged))
    assert ours[1] != trained(build(tmp_path / "b", flagged=[False] * ROWS))[1]
