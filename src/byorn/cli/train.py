"""byorn train: fine-tune with LoRA, replacing implausible responses by the model's own.

Any field of TRL's SFTConfig can stand in the YAML file, or be given as `--set name=value`.
"""

import argparse
from pathlib import Path
from typing import Any

from byorn.cli.options import add_data, add_model, as_number, data_spec, model_spec, parse_setting

SHORTCUTS = {
    "learning_rate": (float, "learning rate of the adapter"),
    "num_train_epochs": (float, "passes over the data"),
    "max_steps": (int, "optimiser steps; wins over epochs"),
    "per_device_train_batch_size": (int, "rows a forward pass on each device"),
    "gradient_accumulation_steps": (int, "forward passes an optimiser step"),
    "ema_decay": (float, "decay of the moving average that writes replacement responses"),
    "seed": (int, "seed of everything"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_data(parser)
    add_model(parser)
    parser.add_argument(
        "--out", default="runs/train", metavar="DIR", help="run folder; the same command goes on with a killed run"
    )
    parser.add_argument(
        "--defense",
        choices=("byorn", "byorn-f", "sft"),
        default="byorn",
        help="replace flagged responses, drop flagged rows, or neither",
    )
    parser.add_argument(
        "--percentile", type=float, default=0.6, help="share of rows whose responses are trusted (the paper's p)"
    )
    parser.add_argument("--score-batch-size", type=int, default=8, help="rows a forward pass while scoring")
    group = parser.add_argument_group("LoRA")
    group.add_argument("--lora-rank", type=int, default=16, help="rank")
    group.add_argument("--lora-alpha", type=int, help="scale; default: twice the rank")
    group.add_argument("--lora-dropout", type=float, default=0.0, help="dropout on the adapter's input")
    group.add_argument(
        "--lora-targets", metavar="REGEX", help="modules; default: every linear layer of the language model"
    )
    group = parser.add_argument_group("training (any SFTConfig field: --set NAME=VALUE)")
    for name, (kind, text) in SHORTCUTS.items():
        group.add_argument(f"--{name.replace('_', '-')}", type=kind, help=text)
    group.add_argument(
        "--set",
        action="append",
        default=[],
        dest="arguments",
        metavar="NAME=VALUE",
        help="any other field; the value is read as YAML",
    )


def run(options: argparse.Namespace) -> None:
    from byorn.pipeline.train import TrainSpec, train

    spec = TrainSpec(
        options.defense, options.percentile, options.score_batch_size, options.lora_rank, options.lora_alpha, options.lora_dropout,
        options.lora_targets, training_arguments(options),
    )  # fmt: skip
    out = Path(options.out)
    train(data_spec(options), model_spec(options), out, spec)
    print(f"{out / 'adapter'}\n{out / 'training.json'}")


def training_arguments(options: argparse.Namespace) -> dict[str, Any]:
    """Fields of `ByornConfig` from the YAML file, then `--set`, then the options with a name of their own."""
    arguments = {name: as_number(value) for name, value in getattr(options, "config_arguments", {}).items()}
    arguments |= dict(parse_setting(text) for text in options.arguments)
    return arguments | {name: getattr(options, name) for name in SHORTCUTS if getattr(options, name) is not None}
