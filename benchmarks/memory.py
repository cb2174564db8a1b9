"""Peak memory and speed of byorn beside plain SFT of the same rows, by phase; random weights, no download.

    python benchmarks/memory.py                                    # anywhere: 33 million weights, minutes on one core
    python benchmarks/memory.py --preset qwen2.5-vl-3b --out FILE  # for a GPU: the shape of Qwen2.5-VL-3B in bfloat16

Each side runs in a process of its own, both with the same LoRA, rows, batches and number of optimizer steps; two in
five of byorn's rows are flagged. Memory is what PyTorch has allocated on the GPU, or else the resident set of the
process, less what it was before the model was built. A random model hardly ever ends a response, so that samples are a
quarter longer than the rows' own responses: the worst case of the learned length limit. Memory belongs to the process
alone; speeds, medians over steps without the first one, suffer from whatever else the machine does. Each call adds a
run to the list in the result file.
"""

import argparse
import ctypes
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from memory_shapes import PRESETS, Case, build, build_rows
from transformers import TrainerCallback

from byorn.runs.folder import write_json
from byorn.runs.memory import peak_megabytes, reset_peak
from byorn.runs.narrate import quiet_libraries

RESULT = Path(__file__).parent / "results" / "memory.json"
SIDES = ("sft", "byorn")
# Without these, glibc keeps freed blocks, and the resident set says little about what is in use.
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0", "MALLOC_ARENA_MAX": "1"}


class Meter(TrainerCallback):
    """Peaks of the two parts of each optimizer step, `fetch` (in which byorn samples) and `train`, and the seconds of
    the second.
    """

    def __init__(self) -> None:
        self.peaks: dict[str, list[float]] = {"fetch": [], "train": []}
        self.seconds: list[float] = []
        self.began = 0.0

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        start_part()

    def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
        self.peaks["fetch"].append(peak_megabytes())
        start_part()
        self.began = time.perf_counter()

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        self.seconds.append(time.perf_counter() - self.began)
        self.peaks["train"].append(peak_megabytes())
        start_part()


def start_part() -> None:
    """A new peak from here on; freed blocks go back to the system first, so that it is this part's own."""
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
    reset_peak()


def measure(side: str, shape: Case, checkpointing: bool) -> dict[str, Any]:
    """One side, in this process: megabytes over the start for `model`, `scan`, `fetch` and `train`, and tokens a
    second.
    """
    from trl import SFTConfig, SFTTrainer

    from byorn import ByornConfig, ByornTrainer
    from byorn.models.lora import default_lora

    start_part()
    start = peak_megabytes()
    model, processor = build(shape)
    rows = build_rows(shape, processor)
    result = {"parameters": sum(value.numel() for value in model.parameters()), "model": peak_megabytes() - start}
    if side == "byorn":
        result |= scan(model, processor, rows, start)
    meter = Meter()
    trainer_class, config_class = (ByornTrainer, ByornConfig) if side == "byorn" else (SFTTrainer, SFTConfig)
    config = config_class(
        tempfile.mkdtemp(),
        per_device_train_batch_size=shape.batch,
        gradient_accumulation_steps=shape.accumulation,
        num_train_epochs=shape.epochs,
        activation_checkpointing=checkpointing,
        bf16=shape.dtype == "bfloat16",
        max_length=None,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    trainer = trainer_class(
        model,
        config,
        train_dataset=rows,
        processing_class=processor,
        peft_config=default_lora(model),
        callbacks=[meter],
    )
    trainer.train()
    return result | training(trainer, meter, start)


def scan(model: Any, processor: Any, rows: Any, start: float) -> dict[str, float]:
    from byorn.scoring.score import score_dataset

    start_part()
    score_dataset(model, processor, rows.select(range(8)))  # whatever is compiled or loaded at first use
    began = time.perf_counter()
    score_dataset(model, processor, rows)
    spent = time.perf_counter() - began
    return {"scan": peak_megabytes() - start, "scan_rows_per_second": len(rows) / spent}


def training(trainer: Any, meter: Meter, start: float) -> dict[str, float]:
    log = [entry for entry in trainer.state.log_history if "num_tokens" in entry]
    totals = [0, *(entry["num_tokens"] for entry in log)]
    speeds = [(new - old) / spent for (old, new), spent in zip(pairwise(totals), meter.seconds, strict=True)]
    result = {part: max(values) - start for part, values in meter.peaks.items()}
    result |= {"train_tokens_per_second": median(speeds[1:]), "train_seconds": sum(meter.seconds), "steps": len(speeds)}
    sampled = [entry for entry in log if "sampling_seconds" in entry]
    if sampled:
        group = trainer.args.train_batch_size * trainer.args.gradient_accumulation_steps
        rates = [entry["response_tokens"] * group / entry["sampling_seconds"] for entry in sampled]
        result |= {"sample_tokens_per_second": median(rates[1:] or rates), "sampled_steps": len(sampled)}
        result |= {"sample_seconds": sum(entry["sampling_seconds"] for entry in sampled)}
    return result


def compare(arguments: list[str]) -> dict[str, Any]:
    """Both sides, each in a process of its own, and the ratio of their peaks."""
    sides = {}
    for side in SIDES:
        command = [sys.executable, __file__, *arguments, "--side", side]
        done = subprocess.run(command, env={**ALLOCATOR, **os.environ}, stdout=subprocess.PIPE, text=True, check=True)
        sides[side] = json.loads(done.stdout.splitlines()[-1])
    peaks = {side: max(found.get(part, 0.0) for part in ("scan", "fetch", "train")) for side, found in sides.items()}
    return {"peak_megabytes": peaks, "ratio": peaks["byorn"] / peaks["sft"], **sides}


def environment() -> dict[str, Any]:
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{platform.machine()} CPU"
    names = ("byorn", "torch", "transformers", "trl", "peft")
    return {"device": device, "threads": torch.get_num_threads(), **{name: version(name) for name in names}}


def main() -> None:
    options = parse()
    shape, checkpointing = PRESETS[options.preset], bool(options.checkpointing)
    quiet_libraries()
    if options.side:
        print(json.dumps(measure(options.side, shape, checkpointing)))
        return
    arguments = sys.argv[1:]
    command = " ".join(["python benchmarks/memory.py", *arguments])
    settings = {"checkpointing": checkpointing, "shape": asdict(shape)}
    run = {"command": command, **environment(), **settings, **compare(arguments)}
    earlier = json.loads(options.out.read_text()) if options.out.exists() else []
    write_json(options.out, [*earlier, run])
    print(json.dumps(run, indent=2))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="small", help="the shape of the model and its rows")
    parser.add_argument("--checkpointing", type=int, choices=(0, 1), default=1, help="activation checkpointing")
    parser.add_argument("--out", type=Path, default=RESULT, help="the list of runs to add to")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
