"""A scan's pass against its floor: CPU seconds of `score_dataset` over those of the model alone on the same batches.

    OMP_NUM_THREADS=1 python benchmarks/scan_floor.py --rows 96
    OMP_NUM_THREADS=1 python benchmarks/scan_floor.py --rows 48 --turns 2 --model recipes/real/model \\
        --plugin recipes/real/tower.py recipes/real/tasks.py --task real-captions

The floor is `model(**inputs)` in inference mode on batches that are in memory already: no file, image, template or
statistic. Both arms in turn, the scan first.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from byorn.bench.tasks import load_task
from byorn.data.dataset import to_dataset
from byorn.models.load import load_spec, load_spec_processor
from byorn.models.spec import ModelSpec
from byorn.plugins import load_plugins
from byorn.runs.narrate import quiet_libraries
from byorn.scoring import likelihood, scorer
from byorn.scoring.score import score_dataset


def batches_of(scan: Callable[[], object]) -> list[dict[str, torch.Tensor]]:
    """The inputs of the model in each batch of a scan."""
    seen: list[dict[str, torch.Tensor]] = []
    tokens_of = likelihood.tokens_of

    def watching(model: Any, inputs: Any, ends: Any) -> Any:
        seen.append({name: value for name, value in inputs.items() if name != "labels"})
        return tokens_of(model, inputs, ends)

    with patch.object(scorer, "tokens_of", watching):
        scan()
    return seen


def seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def measure(model: Any, processor: Any, dataset: Any, batch: int, turns: int) -> None:
    """Print both arms' seconds of each turn, and their ratio."""

    def scan() -> None:
        score_dataset(model, processor, dataset, batch_size=batch)

    inputs = batches_of(scan)

    def bare() -> None:
        with torch.inference_mode():
            for one in inputs:
                model(**one, use_cache=False)

    model.eval()
    for turn in range(turns):
        scanned, floor = seconds(scan), seconds(bare)
        print(f"turn {turn}: scan {scanned:.2f} s, bare {floor:.2f} s, ratio {scanned / floor:.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=96)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--task", default="captions")
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--plugin", type=Path, nargs="+", default=[])
    given = parser.parse_args()
    quiet_libraries()
    load_plugins(given.plugin)
    spec = ModelSpec(name=given.model)
    with tempfile.TemporaryDirectory() as folder:
        rows = load_task(given.task, given.rows, 1, 0, Path(folder)).train
        measure(load_spec(spec), load_spec_processor(spec), to_dataset(rows), given.batch, given.turns)


if __name__ == "__main__":
    main()
