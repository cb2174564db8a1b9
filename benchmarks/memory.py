"""Peak memory and speed of byorn beside plain SFT of the same rows, by phase; random weights of any shape, no download.

    python benchmarks/memory.py --hidden 384 --layers 8          # anywhere, about two minutes on one core
    python benchmarks/memory.py --preset qwen2.5-vl-3b           # needs a GPU with about 20 GB

Each side runs in a process of its own, both with the same LoRA, rows, batches and number of optimiser steps; 40 % of byorn's rows are
flagged. Memory is what PyTorch has allocated on the GPU, or the resident set of the process over what it was before the model was built.
A random model rarely ends a response, so that nearly every sample runs into the length limit: the worst case. Speeds are medians over
steps, the first of each kind apart. Writes `benchmarks/results/memory.json`.
"""

import argparse
import ctypes
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from transformers import TrainerCallback

from byorn.bench.memory import peak_megabytes, reset_peak

RESULT = Path(__file__).parent / "results" / "memory.json"
SIDES = ("sft", "byorn")
# Without this, glibc keeps freed blocks, and the resident set says little about what is in use.
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0", "MALLOC_ARENA_MAX": "1"}


@dataclass(frozen=True)
class Shape:
    """A model and what it is trained on; the fields are the command's options."""

    family: str = field(default="qwen2_5_vl", metadata={"choices": ("qwen2_5_vl", "llava")})
    hidden: int = 384
    layers: int = 8
    heads: int = 6
    kv_heads: int = 2
    intermediate: int = 1536
    vocabulary: int = 8192
    vision_hidden: int = 192
    vision_layers: int = 4
    vision_intermediate: int = 768
    vision_heads: int = 3
    image: int = 224
    prompt: int = 60
    response: int = 40
    batch: int = 4
    accumulation: int = 2
    epochs: int = 1
    rounds: int = 1
    dtype: str = field(default="float32", metadata={"choices": ("float32", "bfloat16")})
    checkpointing: int = field(default=1, metadata={"help": "activation checkpointing, 0 or 1"})


# The shape of Qwen/Qwen2.5-VL-3B-Instruct.
PRESETS = {
    "qwen2.5-vl-3b": Shape(
        hidden=2048, layers=36, heads=16, kv_heads=2, intermediate=11008, vocabulary=151936, vision_hidden=1280,
        vision_layers=32, vision_intermediate=3420, vision_heads=16, image=560, prompt=200, response=100, batch=8,
        accumulation=2, epochs=2, rounds=1, dtype="bfloat16",
    ),
}  # fmt: skip


def build(shape: Shape) -> tuple[Any, Any]:
    """A model of that shape on the first GPU, else the CPU, and the processor of its family for images of that size."""
    import torch
    from transformers import AutoModelForImageTextToText

    from byorn.models.load import default_device
    from byorn.testing import build_family

    tiny, processor = build_family(shape.family)
    config = CONFIGS[shape.family](tiny.config, processor, shape)
    torch.manual_seed(0)
    with torch.device(default_device()):
        model = AutoModelForImageTextToText.from_config(config, dtype=getattr(torch, shape.dtype))
    model.generation_config = tiny.generation_config
    return model.eval(), processor


def qwen2_5_vl(tiny: Any, processor: Any, shape: Shape) -> Any:
    processor.image_processor.size = {"shortest_edge": 56 * 56, "longest_edge": shape.image**2}
    vision, text = tiny.vision_config.to_dict(), tiny.text_config.to_dict()
    layers = shape.vision_layers
    vision.update(
        depth=layers, hidden_size=shape.vision_hidden, intermediate_size=shape.vision_intermediate,
        num_heads=shape.vision_heads, out_hidden_size=shape.hidden, window_size=112,
        fullatt_block_indexes=list(range(layers // 4 - 1, layers, layers // 4)),
    )  # fmt: skip
    half = shape.hidden // shape.heads // 2
    rope = {"rope_type": "default", "mrope_section": [half - 2 * (3 * half // 8), 3 * half // 8, 3 * half // 8]}
    text.update(decoder(shape), rope_parameters={**rope, "rope_theta": 1e6}, tie_word_embeddings=True, layer_types=None)
    return type(tiny).from_dict({**tiny.to_dict(), "vision_config": vision, "text_config": text})


def llava(tiny: Any, processor: Any, shape: Shape) -> Any:
    side = {"height": shape.image, "width": shape.image}
    processor.image_processor.size, processor.image_processor.crop_size = {"shortest_edge": shape.image}, side
    vision, text = tiny.vision_config.to_dict(), tiny.text_config.to_dict()
    vision.update(
        hidden_size=shape.vision_hidden, num_hidden_layers=shape.vision_layers, num_attention_heads=shape.vision_heads,
        intermediate_size=shape.vision_intermediate, image_size=shape.image,
    )  # fmt: skip
    text.update(decoder(shape))
    return type(tiny).from_dict({**tiny.to_dict(), "vision_config": vision, "text_config": text})


def decoder(shape: Shape) -> dict[str, Any]:
    return {
        "hidden_size": shape.hidden, "num_hidden_layers": shape.layers, "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads, "intermediate_size": shape.intermediate, "vocab_size": shape.vocabulary,
        "max_position_embeddings": 32768,
    }  # fmt: skip


CONFIGS = {"qwen2_5_vl": qwen2_5_vl, "llava": llava}


def build_rows(shape: Shape, processor: Any) -> Any:
    """Whole groups of rows, two in five flagged; all prompts and responses of the same number of characters, each a token or so."""
    from byorn.data.dataset import to_dataset
    from byorn.data.row import ImageFile, user_message
    from byorn.pipeline.inputs import training_rows
    from byorn.testing import tiny_rows

    rows = [
        replace(
            row,
            prompt=[user_message((f"{index}, " * shape.prompt)[: shape.prompt], images=1)],
            response=(f"{index}; " * shape.response)[: shape.response],
            images=[ImageFile(data=picture(shape.image, index))],
        )
        for index, row in enumerate(tiny_rows(5 * shape.rounds * shape.batch * shape.accumulation))
    ]
    return to_dataset(training_rows(rows, processor), [index % 5 < 2 for index in range(len(rows))])


def picture(side: int, seed: int) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (seed % 256, 40, 200)).save(buffer, "PNG")
    return buffer.getvalue()


class Meter(TrainerCallback):
    """Peaks and seconds of the two parts of each optimiser step: `fetch`, in which byorn samples, and `train`."""

    def __init__(self) -> None:
        self.peaks: dict[str, list[float]] = {"fetch": [], "train": []}
        self.seconds: list[float] = []
        self.began = 0.0

    def mark(self, part: str) -> None:
        self.peaks[part].append(peak_megabytes())
        trim()
        reset_peak()

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        reset_peak()

    def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
        self.mark("fetch")
        self.began = time.perf_counter()

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        self.mark("train")
        self.seconds.append(time.perf_counter() - self.began)


def trim() -> None:
    """Give freed blocks back to the system, so that the next part's peak is its own."""
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)


def measure(side: str, shape: Shape) -> dict[str, Any]:
    """One side in this process."""
    from trl import SFTConfig, SFTTrainer

    from byorn import ByornConfig, ByornTrainer
    from byorn.models.lora import default_lora

    start = resident()
    model, processor = build(shape)
    rows, result = build_rows(shape, processor), {"model": peak_megabytes() - start}
    if side == "byorn":
        result |= scan(model, processor, rows, start)
    meter = Meter()
    trainer_class, config_class = (ByornTrainer, ByornConfig) if side == "byorn" else (SFTTrainer, SFTConfig)
    config = config_class(
        tempfile.mkdtemp(), per_device_train_batch_size=shape.batch, gradient_accumulation_steps=shape.accumulation,
        num_train_epochs=shape.epochs, gradient_checkpointing=bool(shape.checkpointing), bf16=shape.dtype == "bfloat16",
        max_length=None, logging_steps=1, save_strategy="no", report_to="none", disable_tqdm=True,
    )  # fmt: skip
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


def resident() -> float:
    """Megabytes in use before the model is built: none on a GPU."""
    reset_peak()
    return peak_megabytes()


def scan(model: Any, processor: Any, rows: Any, start: float) -> dict[str, Any]:
    from byorn.scoring.score import score_dataset

    reset_peak()
    score_dataset(model, processor, rows.select(range(8)))  # whatever is compiled or loaded at first use
    began = time.perf_counter()
    scores = score_dataset(model, processor, rows)
    spent = time.perf_counter() - began
    return {"scan": peak_megabytes() - start, "scan rows/s": len(rows) / spent, "scan nll": float(scores.nll.mean())}


def training(trainer: Any, meter: Meter, start: float) -> dict[str, Any]:
    log = [entry for entry in trainer.state.log_history if "num_tokens" in entry]
    totals = [0, *(entry["num_tokens"] for entry in log)]
    speeds = [(new - old) / spent for (old, new), spent in zip(pairwise(totals), meter.seconds, strict=True)]
    result = {name: max(values) - start for name, values in meter.peaks.items()}
    result |= {"train tokens/s": median(speeds[1:]), "steps": len(speeds)}
    sampled = [entry for entry in log if "sampling_seconds" in entry]
    if sampled:
        group = trainer.args.train_batch_size * trainer.args.gradient_accumulation_steps
        rates = [entry["response_tokens"] * group / entry["sampling_seconds"] for entry in sampled]
        result |= {"sample tokens/s": median(rates[1:] or rates), "response tokens": sampled[-1]["response_tokens"]}
        result |= {"sampling s": sum(entry["sampling_seconds"] for entry in sampled), "training s": sum(meter.seconds)}
    return result


def main() -> None:
    shape, options = parse()
    if options.side:
        print(json.dumps(measure(options.side, shape)))
        return
    sides = {}
    for side in SIDES:
        command = [sys.executable, __file__, "--side", side]
        command += [f"--{name.replace('_', '-')}={value}" for name, value in asdict(shape).items()]
        done = subprocess.run(command, env={**ALLOCATOR, **os.environ}, stdout=subprocess.PIPE, text=True, check=True)
        sides[side] = json.loads(done.stdout.splitlines()[-1])
    print(json.dumps(sides, indent=2))


def parse() -> tuple[Shape, Any]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    for item in fields(Shape):
        parser.add_argument(f"--{item.name.replace('_', '-')}", type=type(item.default), **item.metadata)
    options = parser.parse_args()
    base = PRESETS.get(options.preset, Shape())
    given = {item.name: value for item in fields(Shape) if (value := getattr(options, item.name)) is not None}
    return replace(base, **given), options


if __name__ == "__main__":
    main()
