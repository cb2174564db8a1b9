"""Adapt a tiny model in one or several processes, a script.

    adapting.py FOLDER [--end]

Writes `RANK.json`: the folds of the steps, the rows of the looks, the medians, and the error if there is one;
`RANK.safetensors`: the adapters. With `--end` the second process ends at its first step.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from byorn.data.dataset import to_dataset
from byorn.errors import ByornError
from byorn.runs.ranks import current_shard
from byorn.scoring import adaptation
from byorn.scoring.adaptation import CrossFitted, cross_fitted
from byorn.scoring.folds import content_folds
from byorn.testing import tiny_model, tiny_processor, tiny_rows

ROWS = 32
seen: dict[str, Any] = {"steps": [], "looks": [], "error": ""}


class Watched(CrossFitted):
    """Writes down what it does."""

    def _step(self, optimizer: Any, rows: np.ndarray) -> None:
        if "--end" in sys.argv and os.environ["RANK"] == "1":
            os._exit(0)
        seen["steps"].append(int(self.fold[rows[0]]))
        super()._step(optimizer, rows)

    def _median(self, rows: np.ndarray) -> float:
        seen["looks"].append(len(rows))
        return super()._median(rows)


def adapt(folder: Path) -> None:
    rows, rank = tiny_rows(ROWS), os.environ["RANK"]
    given = tiny_model(seed=1), tiny_processor(), to_dataset(rows), content_folds(rows), np.ones(ROWS, dtype=bool)
    with cross_fitted(*given, batch_size=4, shard=current_shard()) as fitted:
        try:
            fitted.adapt()
        except ByornError as error:
            seen["error"] = str(error)
        seen["medians"] = fitted.curve.medians
        weights = {name: value for name, value in fitted.model.named_parameters() if "lora_" in name}
        save_file(weights, folder / f"{rank}.safetensors")
    (folder / f"{rank}.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    torch.set_num_threads(1)
    patched: Any = adaptation
    patched.CrossFitted, patched.BATCH = Watched, 4
    adapt(Path(sys.argv[1]))
