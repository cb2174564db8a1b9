"""Several processes with small batches are one process with large ones: the same steps, samples, losses and weights."""

import json
import shutil
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from runner import FEW, FLAGGED, adapters, build, losses, record, settings, tokens_seen
from safetensors.torch import load_file

from byorn.data.dataset import to_dataset
from byorn.errors import ConfigError, MismatchError
from byorn.flagging.percentile import flag_percentile
from byorn.runs.batches import Shard
from byorn.scoring.score import evidence_together, score_dataset
from byorn.testing import tiny_rows
from byorn.training.processes import require_processes, rows_a_step, use_one_gpu
from launching import in_group

TOLERANCE = 1e-5  # float32 rounding of a loss near 5 is 5e-7; sums over differently padded batches add a little
RUNNER = Path(__file__).with_name("runner.py")
GROUP, UNEVEN = 4, 13  # the flagged and the clean rows of `runner.py` do not fill their groups of 4 either


class Run:
    """The folder of a run on several processes: straight, resumed in its second epoch, and on uneven rows without
    flags.
    """

    def __init__(self, folder: Path, processes: int, more: list[str]) -> None:
        self.folder, self.processes = folder, processes
        self.sharded = "--fsdp" in more
        self.options = {
            "soft_targets": "--soft" in more,
            "response_block": int(more[more.index("--block") + 1]) if "--block" in more else 1,
            "flagged": FEW if "--few" in more else FLAGGED,
        }

    def read(self, name: str) -> list:
        return [json.loads((self.folder / f"{name}-{rank}.json").read_text()) for rank in range(self.processes)]

    def weights(self, name: str) -> dict[str, torch.Tensor]:
        return load_file(self.folder / f"{name}.safetensors")


@pytest.fixture(
    scope="module",
    params=[
        "2",
        "2 --soft --block 2",
        "2 --fsdp",
        pytest.param("2 --fsdp --soft --block 0", marks=pytest.mark.slow),
        *(pytest.param(f"4{more}", marks=pytest.mark.slow) for more in ("", " --few", " --fsdp", " --fsdp --few")),
    ],
)
def several(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("several")
    processes, *more = request.param.split()
    script = [str(RUNNER), str(folder), "--batch", str(GROUP // int(processes)), *more]
    done = in_group(int(processes), *script, "--resume-at", "6", "--uneven", str(UNEVEN), cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return Run(folder, int(processes), more)


@pytest.fixture(scope="module")
def one(several, tmp_path_factory):
    trainer = build(tmp_path_factory.mktemp("one"), **several.options)
    steps = record(trainer)
    trainer.train()
    return trainer, steps


def test_each_rank_holds_its_part_of_the_weights(several):
    """Of two, half, but for what does not divide; all of it where nothing is sharded."""
    part = 1 / several.processes if several.sharded else 1
    assert [result["share"] for result in several.read("straight")] == pytest.approx(
        [part] * several.processes, rel=0.05
    )


def test_all_ranks_take_the_same_sequence_of_clean_and_flagged_steps(one, several):
    kinds = [step["flagged"] for step in one[1]]
    assert kinds.count(True) == (2 if several.options["flagged"] is FEW else 4)
    for result in several.read("straight"):
        assert [step["flagged"] for step in result["steps"]] == kinds


def test_a_step_counts_the_tokens_of_all_ranks(one, several):
    tokens = [step["tokens"] for step in one[1]]
    for result in several.read("straight"):
        assert [step["tokens"] for step in result["steps"]] == tokens
        assert result["tokens_seen"] == tokens_seen(one[0])


def test_each_row_gets_the_response_that_it_gets_on_one_process(one, several):
    ranks = [[step["texts"] for step in result["steps"]] for result in several.read("straight")]
    for together, alone in zip(zip(*ranks, strict=True), [step["texts"] for step in one[1]], strict=True):
        ranks_of = Counter(pair for texts in together for pair in texts.items())
        assert ranks_of == dict.fromkeys(alone.items(), 2 if several.options["flagged"] is FEW else 1)


def test_losses_and_weights_are_those_of_one_process_up_to_rounding(one, several):
    assert several.read("straight")[0]["losses"] == pytest.approx(losses(one[0]), abs=TOLERANCE)
    for name, expected in adapters(one[0]).items():
        torch.testing.assert_close(several.weights("straight")[name], expected, atol=1e-4, rtol=0)


def test_a_resume_in_a_later_epoch_is_the_straight_run_to_the_last_bit(several):
    for straight, resumed in zip(several.read("straight"), several.read("resumed"), strict=True):
        assert resumed["steps"] == straight["steps"][6:]
    straight, resumed = several.weights("straight"), several.weights("resumed")
    assert any(".ema." in name for name in straight)
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)


@pytest.mark.slow
@pytest.mark.parametrize("layout", [[], ["--fsdp"]], ids=["ddp", "fsdp"])
@pytest.mark.parametrize("processes", [2, 4])
def test_a_killed_run_goes_on_and_ends_as_one_process_does(processes, layout, tmp_path):
    trainer = build(tmp_path / "one")
    steps = record(trainer)
    trainer.train()
    folder = tmp_path / "several"
    runner = [str(RUNNER), str(folder), "--batch", str(GROUP // processes), *layout]
    assert in_group(processes, *runner, "--kill-at", "8", cwd=tmp_path).returncode != 0
    assert not (folder / "straight.safetensors").exists()
    done = in_group(processes, *runner, "--go-on", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    run = Run(folder, processes, layout)
    assert run.read("resumed")[0]["losses"] == pytest.approx(losses(trainer), abs=TOLERANCE)
    for together, alone in zip(
        zip(*(result["steps"] for result in run.read("resumed")), strict=True), steps[6:], strict=True
    ):
        assert {row: text for step in together for row, text in step["texts"].items()} == alone["texts"]
    resumed = run.weights("resumed")
    assert any(".ema." in name for name in resumed)
    for name, expected in adapters(trainer).items():
        torch.testing.assert_close(resumed[name], expected, atol=1e-4, rtol=0)


def test_one_process_goes_on_from_several_if_a_step_has_as_many_rows(one, several, tmp_path):
    shutil.copytree(several.folder / "checkpoint-6", tmp_path / "checkpoint-6")
    trainer = build(tmp_path, **several.options)
    steps = record(trainer)
    trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-6"))
    assert [step["texts"] for step in steps] == [step["texts"] for step in one[1][6:]]
    for name, expected in adapters(one[0]).items():
        torch.testing.assert_close(adapters(trainer)[name], expected, atol=1e-4, rtol=0)


def test_a_resume_with_other_steps_is_refused(several, tmp_path):
    trainer = build(tmp_path, per_device_train_batch_size=2)
    with pytest.raises(MismatchError, match="made with 4 rows an optimizer step, now 2") as refusal:
        trainer.train(resume_from_checkpoint=str(several.folder / "checkpoint-6"))
    assert "\n" not in str(refusal.value)


def test_rows_without_flags_are_scored_together_and_flagged_alike(several, model, processor):
    dataset = to_dataset(tiny_rows(UNEVEN))
    expected = flag_percentile(score_dataset(model, processor, dataset), 0.6).flagged.tolist()
    assert several.read("flags") == [expected] * several.processes


def test_all_processes_adapt_alike_and_find_the_evidence_that_one_finds(several, model, processor):
    rows = tiny_rows(UNEVEN)
    scores = score_dataset(model, processor, to_dataset(rows))
    alone = evidence_together(scores, model, processor, to_dataset(rows), rows, Shard(0, 1), batch_size=8)
    for found in several.read("evidence"):
        for name, values in found.items():
            assert values == pytest.approx(alone.values[name].tolist(), abs=1e-4)


def test_uneven_rows_without_flags_are_plain_fine_tuning(several):
    """To the last bit. Of four numbers the sum depends on their order, which depends on the place in the vector that is
    summed: DDP has several, and beside shards there is one of all gradients.
    """
    exact = several.processes == 2 or not several.sharded
    loss, weight = (0, 0) if exact else (TOLERANCE, 1e-4)
    for ours, plain in zip(several.read("uneven"), several.read("plain"), strict=True):
        assert ours["losses"] == pytest.approx(plain["losses"], abs=loss, rel=0)
    ours, plain = several.weights("uneven"), several.weights("plain")
    assert ours.keys() == plain.keys()
    for name, expected in plain.items():
        torch.testing.assert_close(ours[name], expected, atol=weight, rtol=0)


@pytest.mark.skipif(torch.cuda.is_available(), reason="with a GPU they look for each other")
def test_processes_that_would_train_apart_are_refused(tmp_path, monkeypatch):
    """Without a GPU and without `use_cpu`, two processes do not find each other, and each would train all by itself."""
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="2 processes were started, but each would train by itself"):
        build(tmp_path, use_cpu=False)


def test_layouts_that_lose_the_average_are_refused(tmp_path):
    args = settings(tmp_path)
    for stage, replacement in ((2, "ema"), (3, "drop")):
        args.deepspeed_plugin, args.replacement = SimpleNamespace(zero_stage=stage), replacement
        with pytest.raises(ConfigError, match=r"deepspeed: .* use DDP"):
            require_processes(args)
    args.deepspeed_plugin.zero_stage = 2  # whole weights on every process, and no average to lose
    require_processes(args)


def test_one_process_keeps_to_one_of_several_gpus(tmp_path, caplog):
    args = settings(tmp_path)
    assert args.n_gpu <= 1
    args._n_gpu = 4  # as the Trainer counts them on such a machine
    use_one_gpu(args)
    assert (args.n_gpu, rows_a_step(args)) == (1, 4)
    assert "4 GPUs, of which one process uses one: torchrun --nproc_per_node 4 uses all" in caplog.text
