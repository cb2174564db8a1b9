"""Rows without an image, with one, with two, and of several turns train side by side, clean or flagged."""

from typing import Any

import pytest
import torch
from runner import adapters, build, losses, record

from byorn.data.row import Row, user_message
from byorn.testing import tiny_rows


def mixed():
    one, two = tiny_rows(1)[0].images, tiny_rows(2, images=2)[1].images
    said: Any = {"role": "assistant", "content": [{"type": "text", "text": "red"}]}
    prompts = [
        ([user_message("say something")], []),
        ([user_message("what color?", 1)], one),
        ([user_message("what differs?", 2)], two),
        ([user_message("what color?", 1), said, user_message("are you sure?")], one),
    ]
    return [Row(f"mixed-{i}", 0, prompt, "a red square", images) for i, (prompt, images) in enumerate(prompts * 4)]


@pytest.mark.parametrize("flagged", [True, False])
def test_a_step_of_mixed_rows_is_trained(tmp_path, flagged):
    trainer = build(tmp_path, rows=mixed(), flagged=[flagged] * 16, max_steps=4)
    steps, before = record(trainer), adapters(trainer)
    trainer.train()
    assert [step["flagged"] for step in steps] == [flagged] * 4
    assert {name for step in steps for name in step["texts"]} == (
        {f"mixed-{i}" for i in range(16)} if flagged else set()
    )
    assert all(torch.isfinite(torch.tensor(losses(trainer))))
    assert any(not torch.equal(before[name], value) for name, value in adapters(trainer).items() if ".default." in name)


def test_a_batch_of_text_alone_is_sampled_and_trained(tmp_path):
    rows = [row for row in mixed() * 4 if not row.images]
    rows = [Row(f"text-{i}", 0, row.prompt, row.response) for i, row in enumerate(rows)]
    trainer = build(tmp_path, rows=rows, flagged=[i < 8 for i in range(16)], max_steps=2)
    steps = record(trainer)
    trainer.train()
    assert [step["flagged"] for step in steps] == [False, True]
    assert len(losses(trainer)) == 2
