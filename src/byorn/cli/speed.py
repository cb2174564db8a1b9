"""byorn bench speed: what byorn costs over plain fine-tuning, by phase, and how far each phase is from its floor.

Any field of TRL's SFTConfig can be given as `--set name=value`, as for `byorn train`.
"""

import sys
from contextlib import redirect_stdout
from pathlib import Path

from byorn.bench.settings import SpeedSpec
from byorn.cli.arguments import Command, Values
from byorn.cli.train import training_arguments
from byorn.data.spec import DataSpec
from byorn.errors import ConfigError
from byorn.models.spec import LoraSpec, ModelSpec
from byorn.runs.settings import Common, OutputAnew
from byorn.settings import build, settings_of
from byorn.training.settings import TrainerOptions

DRAWN = "drawn"
"""What `--data` says where rows are drawn or made."""


def run(values: Values) -> None:
    speed = build(SpeedSpec, values)
    data = build(DataSpec, values)
    model, lora = build(ModelSpec, values), build(LoraSpec, values)
    out = build(OutputAnew, values).out
    arguments = training_arguments(values)
    if "response_block" in arguments:
        raise ConfigError("response_block: give --blocks, which measures several")
    _refuse_unused(speed, data, model)

    from byorn.bench.speed.run import Question, read_lines
    from byorn.bench.speed.run import run as measure
    from byorn.bench.speed.table import as_markdown
    from byorn.runs.folder import make_folder
    from byorn.runs.ranks import is_main

    make_folder(out)
    rows = None if data.source == DRAWN else data
    asked = Question(speed=speed, model=model, lora=lora, data=rows, arguments=arguments)
    with redirect_stdout(sys.stderr):  # SFTTrainer prints what it logs
        lines = read_lines(out) if speed.table else measure(asked, out)
    if is_main():
        print(as_markdown(lines))


def _refuse_unused(speed: SpeedSpec, data: DataSpec, model: ModelSpec) -> None:
    """Refuse options that would change nothing.

    Raises:
        ConfigError: Naming one.
    """
    if data.source == DRAWN:
        _same(data, DataSpec(source=DRAWN), "it is of rows of your own (--data)")
    else:
        own = SpeedSpec(
            shares=speed.shares, blocks=speed.blocks, repeats=speed.repeats, no_scan=speed.no_scan, table=speed.table
        )
        _same(speed, own, "rows of your own (--data) are as they are, and read by a real model")
    if speed.shape:
        shaped = ModelSpec(name="embedded", device=model.device, dtype=model.dtype)
        _same(model, shaped, "the model of --shape has a device and a number type alone")


def _same(given: object, usual: object, why: str) -> None:
    for option, item, _ in settings_of(type(given)):
        if getattr(given, item.name) != getattr(usual, item.name):
            raise ConfigError(f"{option}: {why}; leave it out")


COMMAND = Command(
    run=run,
    summary="what byorn costs over plain fine-tuning, by phase, and how far each phase is from its floor",
    settings=(OutputAnew, DataSpec, ModelSpec, LoraSpec, SpeedSpec, TrainerOptions, Common),
    example="byorn bench speed --model Qwen/Qwen2.5-VL-3B-Instruct --data data/train.json --limit 512 --batch-size 8",
    defaults={"out": Path("runs/speed"), "model": "embedded", "data": DRAWN, "num_train_epochs": 1.0},
    aliases={"lr": "learning_rate", "epochs": "num_train_epochs", "batch_size": "per_device_train_batch_size"},
    training=TrainerOptions,
)
