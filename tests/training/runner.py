"""Small training runs that write down what every optimizer step saw; also a script, for runs in processes of their own.

    python runner.py FOLDER [--batch 4] [--kill-at 8] [--resume-at 6] [--uneven 13] [--soft] [--block 2] [--few]
    [--fsdp] [--go-on]

`--kill-at` ends the process with SIGKILL after that step; `--resume-at` runs to the end and then once more from that
checkpoint; `--go-on` only resumes from the last one; `--uneven` then trains on so many rows without flags, with byorn
and with TRL alone; with `--few` fewer rows are flagged than there are processes; with `--fsdp` the weights are sharded.
"""

import argparse
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch.distributed.tensor import DTensor
from transformers import TrainerCallback
from trl import SFTTrainer

from byorn.data.dataset import to_dataset
from byorn.models.lora import default_lora
from byorn.models.sharding import resharded
from byorn.runs.ranks import end_group
from byorn.testing import tiny_model, tiny_processor, tiny_rows
from byorn.training.checkpoints import last_checkpoint
from byorn.training.config import ByornConfig
from byorn.training.trainer import ByornTrainer

ROWS = 16
FLAGGED = [
    index % 8 in (0, 3, 5) for index in range(ROWS)
]  # 6 of 16: with groups of 4, 3 clean and 2 flagged steps an epoch
FEW = [index in (3, 8) for index in range(ROWS)]  # 2 of 16: 4 clean steps and a flagged one
EPOCH = 5  # optimizer steps
SHARDED = {"fsdp": True, "fsdp_config": {"version": 2, "reshard_after_forward": True}}


def settings(folder: Path, **changes: Any) -> ByornConfig:
    """A short run in float32; `changes` win."""
    defaults = {
        "use_cpu": True, "bf16": False, "report_to": "none", "disable_tqdm": True, "logging_steps": 1,
        "save_strategy": "no",
        "learning_rate": 1e-2, "lr_scheduler_type": "constant", "max_steps": 2 * EPOCH,
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 1, "max_response_tokens": 6, "ema_decay": 0.5, "max_flagged_share": 1.0,
    }  # fmt: skip
    return ByornConfig(str(folder), **{**defaults, **changes, **(SHARDED if "--fsdp" in sys.argv else {})})


def build(folder: Path, *, rows: Any = None, flagged: Any = None, model: Any = None, **changes: Any) -> ByornTrainer:
    """A trainer of a tiny model on rows about colored squares, with the flags of this file unless told otherwise."""
    processor = tiny_processor()
    dataset = to_dataset(tiny_rows(ROWS) if rows is None else rows, FLAGGED if flagged is None else flagged)
    arguments = {name: changes.pop(name) for name in ("source", "peft_config", "eval_dataset") if name in changes}
    return ByornTrainer(
        model or tiny_model(processor=processor),
        settings(folder, **changes),
        train_dataset=dataset,
        processing_class=processor,
        **arguments,
    )


def record(trainer: ByornTrainer) -> list[dict[str, Any]]:
    """What each optimizer step sees from here on: is it flagged, how many tokens count, which texts were sampled for
    which row.
    """
    steps: list[dict[str, Any]] = []
    collect: Any = trainer.get_batch_samples
    sample: Any = getattr(trainer, "source", None)
    texts: dict[str, str] = {}

    def sampling(model: Any, rows: Any, step: int) -> Any:
        responses = sample(model, rows, step)
        texts.update({row["id"]: response.text for row, response in zip(rows, responses, strict=True)})
        return responses

    def collecting(*args: Any) -> Any:
        texts.clear()
        batches, tokens = collect(*args)
        steps.append(
            {
                "step": trainer.state.global_step,
                "flagged": bool(texts),
                "tokens": int(tokens or 0),
                "texts": dict(texts),
            }
        )
        return batches, tokens

    patched: Any = trainer
    patched.get_batch_samples, patched.source = collecting, sampling
    return steps


def adapters(trainer: ByornTrainer) -> dict[str, torch.Tensor]:
    """Copies of all adapter weights, the student's and the average's."""
    return {name: value.detach().clone() for name, value in trainer.model.named_parameters() if "lora_" in name}


def losses(trainer: ByornTrainer) -> list[float]:
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def tokens_seen(trainer: ByornTrainer) -> list[int]:
    """Prompt and response tokens of all processes so far, after each step."""
    return [int(entry["num_tokens"]) for entry in trainer.state.log_history if "num_tokens" in entry]


class KillAt(TrainerCallback):
    """The power goes off: no handler, no cleaning up."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def share(model: Any) -> float:
    """Which part of the pretrained weights lies in this process between two steps."""
    weights = [value for name, value in resharded(model).named_parameters() if "lora_" not in name]
    own = sum(value.to_local().numel() if isinstance(value, DTensor) else value.numel() for value in weights)
    return own / sum(value.numel() for value in weights)


def write(trainer: ByornTrainer, steps: list[dict[str, Any]], name: str) -> None:
    """`NAME-RANK.json`: the steps and losses; `NAME.safetensors`: the adapters of rank 0."""
    folder = Path(str(trainer.args.output_dir))
    result = {
        "steps": steps,
        "losses": losses(trainer),
        "tokens_seen": tokens_seen(trainer),
        "share": share(trainer.model),
    }
    (folder / f"{name}-{trainer.args.process_index}.json").write_text(json.dumps(result))
    if trainer.is_world_process_zero():
        save_file(adapters(trainer), folder / f"{name}.safetensors")


def uneven(folder: Path, count: int, batch: int) -> None:
    """`flags-RANK.json`: what scoring by all processes flags, `evidence-RANK.json`: what it finds;
    `uneven` and `plain`: byorn's run and TRL's on rows
    without flags.
    """
    rows, changes = tiny_rows(count), {"per_device_train_batch_size": batch, "max_steps": EPOCH}
    processor = tiny_processor()
    dataset, model = to_dataset(rows), tiny_model(processor=processor)
    ours: dict[str, Any] = {"train_dataset": dataset, "processing_class": processor}
    scored = ByornTrainer(model, settings(folder, rule="paper"), **ours)
    (folder / f"flags-{scored.args.process_index}.json").write_text(json.dumps(scored.flagged.tolist()))
    found = ByornTrainer(tiny_model(processor=processor), settings(folder / "evidence"), **ours).scores
    values = {name: found.values[name].tolist() for name in ("adapted", "adapted_contrast", "evidence")}
    (folder / f"evidence-{scored.args.process_index}.json").write_text(json.dumps(values))
    kinds: dict[str, Any] = {"uneven": ByornTrainer, "plain": SFTTrainer}
    for name, kind in kinds.items():
        model = tiny_model(processor=processor)
        args = settings(folder, rule="paper", percentile=1.0, **changes)  # byorn scores the rows and trusts them all
        trainer = kind(model, args, peft_config=default_lora(model, dropout=0.1), **ours)
        trainer.train()
        write(trainer, [], name)


def go_on(trainer: ByornTrainer, checkpoint: str) -> None:
    """`resumed`: the rest of the run, from a checkpoint on."""
    steps = record(trainer)
    trainer.train(resume_from_checkpoint=checkpoint)
    write(trainer, steps, "resumed")


def train_all(options: argparse.Namespace) -> None:
    """The runs that the options ask for, one after the other."""
    saving = {
        "per_device_train_batch_size": options.batch,
        "save_strategy": "steps",
        "save_steps": 3,
        "soft_targets": options.soft,
        "response_block": options.block,
        "flagged": FEW if options.few else FLAGGED,
    }
    if options.go_on:
        go_on(build(options.folder, **saving), str(last_checkpoint(options.folder, ["ema"])))
        return
    trainer = build(options.folder, **saving)
    if options.kill_at:
        trainer.add_callback(KillAt(options.kill_at))
    steps = record(trainer)
    trainer.train()
    write(trainer, steps, "straight")
    if options.resume_at:
        go_on(build(options.folder, **saving), str(options.folder / f"checkpoint-{options.resume_at}"))
    if options.uneven:
        uneven(options.folder, options.uneven, options.batch)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    for name, default in {"--batch": 4, "--kill-at": 0, "--resume-at": 0, "--uneven": 0, "--block": 1}.items():
        parser.add_argument(name, type=int, default=default)
    for name in ("--soft", "--few", "--fsdp", "--go-on"):
        parser.add_argument(name, action="store_true")
    torch.set_num_threads(1)
    sys.path.append(str(Path(__file__).parents[1]))
    from launching import shorten_scans

    shorten_scans()  # as conftest.py does for the run that this is compared with
    train_all(parser.parse_args())
    end_group()


if __name__ == "__main__":
    main()
