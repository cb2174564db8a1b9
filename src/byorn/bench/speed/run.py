"""Arms in turn on the same rows, again and again; a line of JSON for each arm and turn."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

from byorn.bench.settings import SpeedSpec
from byorn.bench.speed.arms import MIXED, PLAIN, Arm, Workload, measure
from byorn.bench.speed.clock import Clock
from byorn.bench.speed.flops import sizes_of
from byorn.bench.speed.machine import Machine, measure_machine
from byorn.bench.speed.meter import Meter, Work
from byorn.bench.speed.rows import drawn_rows, made_rows
from byorn.bench.speed.shapes import SHAPES, build_shape
from byorn.data.dataset import to_dataset
from byorn.data.row import Row
from byorn.data.spec import DataSpec
from byorn.errors import DataError
from byorn.flagging.settings import FlagSettings
from byorn.models.inputs import read_rows, training_rows
from byorn.models.placement import place_inputs
from byorn.models.spec import LoraSpec, ModelSpec
from byorn.pipeline.build import adapter_weights, build_lora
from byorn.runs.folder import versions
from byorn.runs.narrate import say, seconds
from byorn.runs.ranks import current_shard, is_main
from byorn.scoring.likelihood import build_collator, collated
from byorn.settings import settings_of
from byorn.text import first_line

FILE = "speed.jsonl"
Line = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked.

    Attributes:
        data: The user's rows; None for drawn or made ones.
        arguments: Fields of `ByornConfig`.
    """

    speed: SpeedSpec
    model: ModelSpec
    lora: LoraSpec
    data: DataSpec | None
    arguments: dict[str, Any]


def run(asked: Question, out: Path) -> list[Line]:
    """Measure, and add a line for each arm and turn to `out/speed.jsonl`; returns them.

    Raises:
        ByornError: Model, data or arguments cannot be used.
    """
    found = []
    for line in _lines(asked, out):
        found.append(line)
        if is_main():
            with (out / FILE).open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
    return found


def read_lines(out: Path) -> list[Line]:
    """The lines that lie in a folder.

    Raises:
        DataError: There are none, or they cannot be read.
    """
    try:
        lines = (out / FILE).read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]
    except OSError:
        raise DataError(f"{out / FILE}: there are no lines; run `byorn bench speed` without --table first") from None
    except ValueError as error:
        raise DataError(f"{out / FILE}: a line of it is damaged ({first_line(error)}); delete it") from None


def _lines(asked: Question, out: Path) -> Iterator[Line]:
    speed = asked.speed
    machine = None
    for images, tokens in product(speed.images_per_row, speed.response_tokens or (0,)):
        with TemporaryDirectory() as folder:
            model, processor = _load(asked)
            machine = machine or _machine(asked, model)
            rows = training_rows(_rows(asked, processor, images, tokens, Path(folder), out), processor)
            arguments = ({"max_response_tokens": tokens} if tokens else {}) | asked.arguments
            work = workload(asked, model, processor, rows, machine, arguments)
            del model
            told = {"model": speed.shape or asked.model.name, "rows": len(rows)}
            told |= {"images": round(mean(len(row.images) for row in rows), 1)}
            told |= {"response_tokens": round(work.response_tokens, 1), "ranks": current_shard().num_shards}
            told |= {"options": _options(asked) | ({"image_side": str(speed.image_side)} if tokens else {})}
            told |= {"arguments": arguments, "machine": asdict(machine), "versions": versions()}
            yield from ({**told, **line} for line in turns(work, speed))


def _options(asked: Question) -> dict[str, str]:
    """What was given beside the arguments of training, by option: lines of other options stand in one file."""
    specs = [asked.model, asked.lora, *([asked.data] if asked.data else [])]
    return {
        option: str(getattr(spec, item.name))
        for spec in specs
        for option, item, _ in settings_of(type(spec))
        if option != "model" and getattr(spec, item.name) != item.default
    }


def workload(
    asked: Question, model: Any, processor: Any, rows: Sequence[Row], machine: Machine, arguments: dict[str, Any]
) -> Workload:
    """What the arms are given; the model is only looked at."""
    inputs = collated(build_collator(processor), [to_dataset(rows)[0]])
    adapter = adapter_weights(model, build_lora(model, asked.lora))
    texts = processor.tokenizer([row.response for row in rows], add_special_tokens=False)["input_ids"]
    return Workload(
        rows=rows, load=partial(_load, asked), machine=machine, random=asked.speed.shape is not None,
        sizes=sizes_of(model, adapter=adapter, inputs=place_inputs(inputs, model)),
        response_tokens=mean(len(ids) + 1 for ids in texts), seed=arguments.get("seed") or 0, arguments=arguments,
        lora=asked.lora, batch_size=arguments.get("score_batch_size") or FlagSettings().score_batch_size,
    )  # fmt: skip


def turns(work: Workload, speed: SpeedSpec) -> Iterator[Line]:
    """Scans, then for each share plain fine-tuning and byorn's arms, `repeats` times; a ratio is over SFTTrainer's of
    the same turn and share, that of a scan over the first share's.
    """
    measure(Arm(MIXED), work, max(speed.shares), max_steps=2)  # libraries and kernels warm up
    arms = [Arm(PLAIN), Arm(MIXED), *(Arm(f"byorn, K = {block}", block=block) for block in speed.blocks)]
    scans = [] if speed.no_scan else [Arm(f"scan, {rule}", rule=rule) for rule in ("paper", "evidence")]
    for turn, share in product(range(speed.repeats), speed.shares):
        plain = 0.0
        for arm in [*arms, *(scans if share == speed.shares[0] else [])]:
            parts = phases(*measure(arm, work, share))
            spent = whole(parts, work.machine.device)
            plain = plain or spent  # SFTTrainer comes first
            ratio = spent / plain
            say(f"  turn {turn + 1}, {share:.0%} flagged, {arm.name}: {seconds(spent)}, {ratio:.2f} of {PLAIN}")
            yield {"turn": turn, "share": None if arm.rule else share, "arm": arm.name, "ratio": ratio, "phases": parts}


def phases(clock: Clock, meter: Meter) -> dict[str, dict[str, float]]:
    """Seconds, memory and work of each phase."""
    return {name: {**asdict(spent), **asdict(meter.work.get(name, Work()))} for name, spent in clock.spent.items()}


def whole(parts: dict[str, dict[str, float]], device: str) -> float:
    """Seconds of all phases, as `seconds_of` means them."""
    return sum(seconds_of(part, device) for part in parts.values())


def seconds_of(part: dict[str, float], device: str) -> float:
    """Seconds of the processor where it computes, so that what else the machine does hardly counts; else wall-clock."""
    return part["cpu" if device.endswith(" CPU") else "wall"]


def _load(asked: Question, plain: bool = False) -> tuple[Any, Any]:
    """The model and its processor, anew; plain fine-tuning keeps no features of images, since TRL does not."""
    from byorn.models.load import default_device, load_spec, load_spec_processor

    spec, shape = asked.model, asked.speed.shape
    if plain:
        spec = replace(spec, feature_cache=0.0, feature_store=None)
    if shape is None:
        return load_spec(spec), load_spec_processor(spec)
    device = spec.device or default_device()
    usual = "float32" if device == "cpu" else "bfloat16"
    dtype = usual if spec.dtype == "auto" else spec.dtype
    return build_shape(SHAPES[shape], side=asked.speed.image_side, device=device, dtype=dtype)


def _machine(asked: Question, model: Any) -> Machine:
    import torch

    half = asked.arguments.get("bf16", model.device.type == "cuda")  # TRL's default there
    machine = measure_machine(str(model.device), torch.bfloat16 if half else model.dtype)
    say(f"{machine.device}: {machine.flops / 1e9:.4g} GFLOP/s in {machine.dtype}, {machine.bandwidth / 1e9:.3g} GB/s")
    return machine


def _rows(asked: Question, processor: Any, images: int, tokens: int, folder: Path, out: Path) -> Sequence[Row]:
    """`folder` gets what is drawn, `out` the list of what cannot be used."""
    if asked.data is not None:
        return read_rows(asked.data, processor, out).rows
    speed, seed = asked.speed, asked.arguments.get("seed") or 0
    if not tokens:
        return drawn_rows(speed.rows, seed, folder)
    return made_rows(speed.rows, seed, processor.tokenizer, tokens=tokens, images=images, side=speed.image_side)
