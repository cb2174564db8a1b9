"""Responses that are sampled ahead: fewer calls, the same rows, and a resume in the middle of a block."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate.data_loader import BatchSamplerShard
from runner import EPOCH, adapters, build, record
from torch.utils.data import BatchSampler

from byorn.models.generate import Generated
from byorn.training.blocks import Blocks
from byorn.training.processes import own_rows
from byorn.training.sampler import GroupedSampler

MODEL: Any = None  # no source here looks at it


class Counting:
    """A response source that answers with the name of the row and the step at which it was asked."""

    def __init__(self):
        self.calls = []

    def __call__(self, model, rows, step):
        self.calls.append((step, [row["id"] for row in rows]))
        return [Generated(f"{row['id']} at {step}", 3, truncated=False) for row in rows]


def rows(*names):
    return [{"id": name} for name in names]


def test_a_block_is_sampled_at_its_first_step_and_learned_at_each(tmp_path):
    """Two flagged steps an epoch, the second and the fourth of five."""
    source = Counting()
    trainer = build(tmp_path, source=source, response_block=2)
    steps = record(trainer)
    trainer.train()
    assert [step for step, _ in source.calls] == [1, 1 + EPOCH]
    for step, names in source.calls:
        assert len(names) == len(set(names)) == 6  # every flagged row, once
        told = {**steps[step]["texts"], **steps[step + 2]["texts"]}
        assert told == {name: f"{name} at {step}" for name in names}
    ages = [entry["response_age"] for entry in trainer.state.log_history if "response_age" in entry]
    assert ages == [0, 2, 0, 2]


def test_a_block_longer_than_the_epoch_is_the_epoch(tmp_path):
    source = Counting()
    build(tmp_path, source=source, response_block=1000).train()
    assert [step for step, _ in source.calls] == [1, 1 + EPOCH]


def test_the_card_says_that_responses_were_sampled_ahead(tmp_path):
    for block, said in ((1, False), (2, True)):
        trainer = build(tmp_path, source=Counting(), response_block=block)
        trainer.train()
        trainer.save_model(str(tmp_path))
        assert ("sampled for 2 flagged steps at once" in (tmp_path / "README.md").read_text()) is said


@pytest.mark.parametrize("step", [3, 6, 8])
def test_a_run_resumed_in_a_block_is_the_straight_run(tmp_path, step):
    """After step 3 and after step 8 half of a block is sampled and not learned."""
    runs = []
    for resume in (None, str(tmp_path / f"checkpoint-{step}")):
        trainer = build(tmp_path, response_block=2, save_strategy="steps", save_steps=1)
        texts = record(trainer)
        trainer.train(resume_from_checkpoint=resume)
        runs.append((adapters(trainer), texts))
    assert runs[1][1] == runs[0][1][step:]
    assert all(torch.equal(runs[0][0][name], runs[1][0][name]) for name in runs[0][0])


def test_rows_that_were_not_foreseen_are_sampled_when_they_come():
    source = Counting()
    blocks = Blocks(source, lambda step, size: {step: rows("a"), step + size: rows("b", "b")}, 2)
    assert [found.text for found in blocks(MODEL, rows("a", "c"), 4)] == ["a at 4", "c at 4"]
    assert [found.text for found in blocks(MODEL, rows("b", "d"), 6)] == ["b at 4", "d at 6"]
    assert source.calls == [(4, ["a", "b"]), (4, ["c"]), (6, ["d"])]


def test_a_block_is_kept_and_taken_up(tmp_path):
    source = Counting()
    blocks = Blocks(source, lambda step, size: {step: rows("a"), step + size: rows("b")}, 3)
    blocks(MODEL, rows("a"), 1)
    blocks.save(tmp_path)
    assert json.loads((tmp_path / "ahead.json").read_text())["steps"] == [1, 4]
    again = Blocks(source, lambda step, size: pytest.fail("a new block"), 3)
    again.load(tmp_path)
    assert [found.text for found in again(MODEL, rows("b"), 4)] == ["b at 1"]
    assert again.age(4) == 3
    assert len(source.calls) == 1


def test_blocks_are_counted_from_the_first_flagged_step_of_the_epoch():
    sampler = GroupedSampler([index % 2 == 0 for index in range(20)], group=2, seed=3)
    groups = sampler.groups()
    flagged = [at for at, group in enumerate(groups) if group[0] % 2 == 0]
    assert len(flagged) == 5
    assert [list(sampler.block(step, 2)) for step in flagged] == [
        flagged[0:2], flagged[1:2], flagged[2:4], flagged[3:4], flagged[4:5]
    ]  # fmt: skip
    assert sampler.block(flagged[1], 1) == {flagged[1]: groups[flagged[1]]}


@pytest.mark.parametrize("world", [1, 2, 3])
def test_each_process_foresees_the_rows_that_accelerate_deals_it(world):
    size, accumulation = 2, 2
    group = list(range(size * world * accumulation))
    for rank in range(world):
        dealt = BatchSamplerShard(BatchSampler(group, size, drop_last=False), world, rank)
        args: Any = SimpleNamespace(train_batch_size=size, world_size=world, process_index=rank)
        assert own_rows(group, args) == [row for batch in dealt for row in batch]
