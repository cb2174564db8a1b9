"""Two processes with batches of 2 are one process with batches of 4."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from runner import adapters, build, losses, record, tokens_seen
from safetensors.torch import load_file

TOLERANCE = 1e-5  # float32 rounding of a loss near 5 is 5e-7; sums over differently padded batches add a little


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """The folder of a run on two processes, straight and then resumed in its second epoch."""
    folder = tmp_path_factory.mktemp("two")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = [str(Path(__file__).with_name("runner.py")), str(folder), "--batch", "2", "--resume-at", "6"]
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", str(port)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*launch, *script], capture_output=True, text=True, timeout=600, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    trainer = build(tmp_path_factory.mktemp("one"))
    steps = record(trainer)
    trainer.train()
    return trainer, steps


def read(folder, name):
    return [json.loads((folder / f"{name}-{rank}.json").read_text()) for rank in (0, 1)]


def test_both_ranks_take_the_same_sequence_of_clean_and_flagged_steps(one, two):
    kinds = [step["flagged"] for step in one[1]]
    assert kinds.count(True) == 4
    for result in read(two, "straight"):
        assert [step["flagged"] for step in result["steps"]] == kinds


def test_a_step_counts_the_tokens_of_all_ranks(one, two):
    tokens = [step["tokens"] for step in one[1]]
    for result in read(two, "straight"):
        assert [step["tokens"] for step in result["steps"]] == tokens
        assert result["tokens_seen"] == tokens_seen(one[0])


def test_each_row_gets_the_response_that_it_gets_on_one_process(one, two):
    first, second = (result["steps"] for result in read(two, "straight"))
    together = [{**a["texts"], **b["texts"]} for a, b in zip(first, second, strict=True)]
    assert together == [step["texts"] for step in one[1]]
    assert all(a["texts"].keys() != b["texts"].keys() for a, b in zip(first, second, strict=True) if a["flagged"])


def test_losses_and_weights_are_those_of_one_process_up_to_rounding(one, two):
    assert read(two, "straight")[0]["losses"] == pytest.approx(losses(one[0]), abs=TOLERANCE)
    weights = load_file(two / "straight.safetensors")
    for name, expected in adapters(one[0]).items():
        torch.testing.assert_close(weights[name], expected, atol=1e-4, rtol=0)


def test_two_ranks_resume_in_a_later_epoch_to_the_last_bit(two):
    for straight, resumed in zip(read(two, "straight"), read(two, "resumed"), strict=True):
        assert resumed["steps"] == straight["steps"][6:]
    straight, resumed = load_file(two / "straight.safetensors"), load_file(two / "resumed.safetensors")
    assert any(".ema." in name for name in straight)
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)
