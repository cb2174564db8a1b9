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
from byorn.runs.settings import Common, Output
from byorn.settings import build
from byorn.training.settings import TrainerOptions

DRAWN = "drawn"
"""What `--data` says where rows are drawn or made."""


def run(values: Values) -> None:
    speed = build(SpeedSpec, values)
    data = build(DataSpec, values)
    model, lora = build(ModelSpec, values), build(LoraSpec, values)
    out = build(Output, values).out
    arguments = training_arguments(values)
    if "response_block" in arguments:
        raise ConfigError("response_block: give --blocks, which measures several")
    if data.source != DRAWN and (speed.response_tokens or speed.shape):
        raise ConfigError("response_tokens: rows of your own have responses of their own; leave it out, or --data")

    from byorn.bench.speed.run import Question, read_lines
    from byorn.bench.speed.run import run as measure
    from byorn.bench.speed.table import as_markdown
    from byorn.runs.folder import make_folder

    make_folder(out)
    rows = None if data.source == DRAWN else data
    asked = Question(speed=speed, model=model, lora=lora, data=rows, arguments=arguments)
    with redirect_stdout(sys.stderr):  # SFTTrainer prints what it logs
        lines = read_lines(out) if speed.table else measure(asked, out)
    print(as_markdown(lines))


COMMAND = Command(
    run=run,
    summary="what byorn costs over plain fine-tuning, by phase, and how far each phase is from its floor",
    settings=(Output, DataSpec, ModelSpec, LoraSpec, SpeedSpec, TrainerOptions, Common),
    example="byorn bench speed --model Qwen/Qwen2.5-VL-3B-Instruct --data data/train.json --limit 512 --batch-size 8",
    defaults={"out": Path("runs/speed"), "model": "embedded", "data": DRAWN, "num_train_epochs": 1.0},
    aliases={"lr": "learning_rate", "epochs": "num_train_epochs", "batch_size": "per_device_train_batch_size"},
    training=TrainerOptions,
)
