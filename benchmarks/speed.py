"""What byorn costs over plain fine-tuning, by phase: CPU seconds of one thread, the arms in turn on the same rows.

    OMP_NUM_THREADS=1 python benchmarks/speed.py                     # embedded model, 600 rows, three epochs
    OMP_NUM_THREADS=1 python benchmarks/speed.py --rates 0.4 --blocks 1 4 16 1000

A poisoned data set a rate; every turn runs TRL's SFTTrainer and then byorn's arms: rule evidence with each block of
sampled steps, and rule paper. A ratio is an arm's scan and training over SFTTrainer's in the same turn; seconds are
those of the process, so that what else the machine does hardly counts. The first turn warms up and is left out. Each
arm adds a line to the result file.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from evidence import Set, planted
from trl import SFTConfig, SFTTrainer

from byorn import ByornConfig, ByornTrainer
from byorn.data.dataset import to_dataset
from byorn.data.row import Row
from byorn.flagging.evidence import flag_evidence
from byorn.flagging.percentile import flag_percentile
from byorn.flagging.table import Flags
from byorn.models.load import load_spec, load_spec_processor
from byorn.models.lora import default_lora
from byorn.models.spec import ModelSpec
from byorn.runs.batches import WHOLE
from byorn.runs.narrate import quiet_libraries
from byorn.scoring.score import evidence_together, score_dataset

TRAINING: dict[str, Any] = {
    "num_train_epochs": 3,
    "per_device_train_batch_size": 16,
    "learning_rate": 2e-3,
    "max_length": None,
    "use_cpu": True,
    "bf16": False,
    "save_strategy": "no",
    "report_to": "none",
    "disable_tqdm": True,
    "logging_steps": 1000,
}


@dataclass(frozen=True)
class Arm:
    """A way to train: plain, or by a rule with a block of flagged steps."""

    name: str
    rule: str | None = None
    block: int = 1


class Clock:
    """CPU seconds by phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def timed(self, phase: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, its seconds added to a phase."""

        def run(*arguments: Any, **options: Any) -> Any:
            began = time.process_time()
            try:
                return work(*arguments, **options)
            finally:
                self.seconds[phase] = self.seconds.get(phase, 0.0) + time.process_time() - began

        return run


def scanned(rule: str, spec: ModelSpec, rows: list[Row], clock: Clock) -> Flags:
    """The flags of a rule, the seconds of each pass counted."""
    model, processor = load_spec(spec), load_spec_processor(spec)
    dataset = to_dataset(rows)
    scores = clock.timed("scan", score_dataset)(model, processor, dataset, batch_size=16)
    if rule == "paper":
        return flag_percentile(scores)
    evidence = clock.timed("adapt", evidence_together)
    return flag_evidence(evidence(scores, model, processor, dataset, rows, WHOLE, batch_size=16))


def measure(arm: Arm, spec: ModelSpec, rows: list[Row], folder: str) -> dict[str, Any]:
    """One arm: seconds by phase, and how many rows were flagged."""
    clock = Clock()
    flags = scanned(arm.rule, spec, rows, clock) if arm.rule else None
    model, processor = load_spec(spec), load_spec_processor(spec)
    given: dict[str, Any] = {"train_dataset": to_dataset(rows), "processing_class": processor}
    given["peft_config"] = default_lora(model)
    if flags is None:
        trainer: Any = SFTTrainer(model, SFTConfig(folder, **TRAINING), **given)
    else:
        trainer = ByornTrainer(model, ByornConfig(folder, response_block=arm.block, **TRAINING), flags=flags, **given)
        if flags.flagged.any():
            trainer.source = clock.timed("sample", trainer.source)
    clock.timed("train", trainer.train)()
    clock.seconds["train"] -= clock.seconds.get("sample", 0.0)
    return {"flagged": int(flags.flagged.sum()) if flags else 0, "seconds": clock.seconds}


def turns(arms: list[Arm], count: int, work: Callable[[Arm], dict[str, Any]]) -> Iterator[tuple[Arm, dict[str, Any]]]:
    """The arms one after the other, again and again, each over the plain one of its turn; the first is not told."""
    for turn in range(count + 1):
        found = [(arm, work(arm)) for arm in arms]
        plain = sum(found[0][1]["seconds"].values())
        for arm, figures in found if turn else []:
            yield arm, figures | {"turn": turn, "ratio": sum(figures["seconds"].values()) / plain}


def table(lines: list[dict[str, Any]]) -> str:
    """A line an arm and rate: the mean over turns, and the range of the ratio."""
    phases = ("scan", "adapt", "train", "sample")
    text = [f"| rate | arm | flagged | turns | {' s | '.join(phases)} s | over SFTTrainer |", "|---" * 9 + "|"]
    groups: dict[tuple[float, str], list[dict[str, Any]]] = {}
    for line in lines:
        groups.setdefault((line["rate"], line["arm"]), []).append(line)
    for (rate, arm), found in groups.items():
        seconds = [f"{mean(line['seconds'].get(phase, 0.0) for line in found):.1f}" for phase in phases]
        ratios = [line["ratio"] for line in found]
        cells = [f"{rate:.0%}", arm, str(found[0]["flagged"]), str(len(found)), *seconds]
        text.append(f"| {' | '.join(cells)} | {mean(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |")
    return "\n".join(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--task", default="captions")
    parser.add_argument("--attack", default="sentence", help="a name of benchmarks/evidence.py")
    parser.add_argument("--rates", type=float, nargs="+", default=[0.0, 0.1, 0.4])
    parser.add_argument("--blocks", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seed", type=int, default=51)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/speed.jsonl"))
    parser.add_argument("--table", action="store_true", help="print what is there, and measure nothing")
    given = parser.parse_args()
    if not given.table:
        quiet_libraries()
        torch.set_num_threads(1)
        run(given)
    print(table([json.loads(line) for line in given.out.read_text().splitlines()]))


def run(given: argparse.Namespace) -> None:
    """Add a line for each arm, rate and turn."""
    spec = ModelSpec(name=given.model, device="cpu")
    arms = [Arm("SFTTrainer"), *(Arm(f"evidence, block {block}", "evidence", block) for block in given.blocks)]
    arms.append(Arm("paper", "paper"))
    for rate in given.rates:
        with tempfile.TemporaryDirectory() as folder:
            wanted = Set(given.task, given.attack if rate else "none", rate)
            rows, _ = planted(wanted, given.rows, given.seed, Path(folder), load_spec(spec), load_spec_processor(spec))
            work = partial(measure, spec=spec, rows=rows, folder=folder)
            for arm, figures in turns(arms, given.turns, work):
                line = {"rate": rate, "arm": arm.name, "rows": len(rows), **figures}
                with given.out.open("a") as file:
                    file.write(json.dumps(line) + "\n")
                print(line, flush=True)


if __name__ == "__main__":
    main()
