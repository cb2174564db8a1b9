"""What processes with sharded weights do unequally often, and must do equally often; a script for them.

    sharing.py FOLDER

Writes `RANK.json`.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from runner import adapters, build, losses

from byorn.cli.main import main
from byorn.data.dataset import to_dataset
from byorn.models.sharding import Layout, agreed, is_sharded, most, shard
from byorn.runs.batches import Shard
from byorn.runs.ranks import end_group
from byorn.scoring.score import score_together
from byorn.testing import tiny_model, tiny_processor, tiny_rows
from byorn.training.responses import SampledResponses
from byorn.training.sampling import Sampling
from byorn.training.sharded import average_gradients

ROWS, BROKEN = 9, 3


class OneBroken:
    """A data set with a row that cannot be read."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        self.column_names = dataset.column_names

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        if index == BROKEN:
            raise OSError("image file is truncated")
        return self.dataset[index]

    def select_columns(self, names: Any) -> Any:
        return self.dataset.select_columns(names)


def sampled(model: Any, rank: int) -> list[str]:
    """Responses for one row in the first process, for three in the second, and so on, one at a time."""
    source = SampledResponses(tiny_processor(), Sampling(seed=0, max_new_tokens=4 + 4 * rank), batch_size=1)
    dataset = to_dataset(tiny_rows(ROWS))
    return [response.text for response in source(model, [dataset[index] for index in range(1 + 2 * rank)], 0)]


def averaged(rank: int) -> list[Any]:
    """The gradients of three weights after averaging: all have the first, all but one the second, nobody the third."""
    weights = [
        torch.nn.Parameter(torch.zeros(2, dtype=kind)) for kind in (torch.float32, torch.bfloat16, torch.float32)
    ]
    weights[0].grad = torch.full((2,), 1.0 + rank)
    if rank:
        weights[1].grad = torch.full((2,), 4.0, dtype=torch.bfloat16)
    average_gradients(weights)
    return [None if weight.grad is None else weight.grad.tolist() for weight in weights]


def half_precision(folder: Path) -> dict[str, Any]:
    """A few steps on weights in bfloat16, with activation checkpointing."""
    model: Any = tiny_model(processor=tiny_processor())
    trainer = build(
        folder,
        model=model.to(torch.bfloat16),
        bf16=True,
        max_steps=4,
        per_device_train_batch_size=2,
        gradient_checkpointing=True,
        fsdp=True,
    )
    trainer.train()
    kinds = {name.split(".")[-2]: str(value.dtype) for name, value in adapters(trainer).items()}
    sums = {name: float(value.double().sum()) for name, value in adapters(trainer).items()}
    trainer.save_model(str(folder / "adapter"))
    return {"losses": losses(trainer), "kinds": kinds, "sums": sums, "sharded": is_sharded(trainer.model)}


def together(folder: Path) -> dict[str, Any]:
    state = PartialState(cpu=True)
    rank = state.process_index
    processor = tiny_processor()
    model = tiny_model(processor=processor)
    shard(model, Layout())
    broken: Any = OneBroken(to_dataset(tiny_rows(ROWS)))
    scores = score_together(model, processor, broken, Shard(rank, state.num_processes), batch_size=2)
    return {
        "nll": np.nan_to_num(scores.nll, nan=-1.0).tolist(),
        "reasons": [reason for reason in scores.reasons if reason],
        "sampled": sampled(model, rank),
        "averaged": averaged(rank),
        "agreed": [most(model, rank), agreed(model, 0.5 + rank)],
        "half": half_precision(folder / "half"),
    }


def scan() -> int:
    """`byorn scan` as `accelerate launch` with a layout of FSDP starts it."""
    os.environ.update({"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"})
    command = "scan --model model --data data --out scanned --rule paper --score-batch-size 2 --no-report"
    return main(command.split())


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    found = together(folder)
    found["scan"] = scan()
    (folder / f"{os.environ['RANK']}.json").write_text(json.dumps(found))
    end_group()
