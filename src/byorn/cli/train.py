"""byorn train: fine-tune with LoRA, replacing implausible responses by the model's own.

Any field of TRL's SFTConfig can stand in the YAML file, or be given as `--set name=value`; a YAML file for `trl sft`
can be used as it is.
"""

import argparse
import re
from pathlib import Path
from typing import Any

from byorn.cli.options import add_data, add_model, add_plugins, as_number, data_spec, model_spec, parse_setting
from byorn.cli.trl_keys import IGNORED, REFUSED
from byorn.errors import ConfigError
from byorn.runs.ranks import is_main

# the keys of byorn.defenses.DEFENSES, which is slower to import; for the help alone, since a plugin may add others
DEFENSES = (
    "byorn", "byorn-f", "byorn-soft", "base-relabel", "sft", "oracle", "random-drop", "onion", "onion-r", "bye", "tcap", "robustit",
)  # fmt: skip
SHORTCUTS = {
    "learning_rate": (float, "learning rate of the adapter"),
    "num_train_epochs": (float, "passes over the data"),
    "max_steps": (int, "optimizer steps; wins over epochs"),
    "per_device_train_batch_size": (int, "rows a forward pass on each device"),
    "gradient_accumulation_steps": (int, "forward passes an optimizer step"),
    "ema_decay": (float, "decay of the moving average that writes replacement responses"),
    "seed": (int, "seed of everything"),
}
_UNFIT = {**IGNORED, **REFUSED, "push_to_hub": "write --push-to-hub NAME"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_data(parser)
    add_model(parser)
    add_plugins(parser)
    parser.add_argument(
        "--out", default="runs/train", metavar="DIR", help="run folder; the same command goes on with a killed run"
    )
    parser.add_argument(
        "--defense",
        default="byorn",
        metavar="NAME",
        help=f"{', '.join(DEFENSES)}, or one of a plugin; byorn replaces implausible responses, byorn-f drops their rows, byorn-soft learns "
        "replacements with less noise, sft is none, the others are baselines",
    )
    parser.add_argument(
        "--defense-option",
        action="append",
        default=[],
        dest="defense_options",
        metavar="NAME=VALUE",
        help="an option of the defense (oracle: manifest=DIR; random-drop: share=0.4); the value is read as YAML",
    )
    parser.add_argument(
        "--percentile", type=float, default=0.6, help="share of rows whose responses are trusted (the paper's p)"
    )
    parser.add_argument("--score-batch-size", type=int, default=8, help="rows a forward pass while scoring")
    group = parser.add_argument_group("LoRA")
    group.add_argument("--lora-rank", type=int, default=16, help="rank")
    group.add_argument("--lora-alpha", type=int, help="scale; default: twice the rank")
    group.add_argument("--lora-dropout", type=float, default=0.0, help="dropout on the adapter's input")
    group = group.add_mutually_exclusive_group()
    group.add_argument("--lora-vision", action="store_true", help="adapt the layers of the vision tower as well")
    group.add_argument(
        "--lora-targets",
        type=pattern,
        metavar="REGEX",
        help="modules; default: every linear layer of the language model",
    )
    group = parser.add_argument_group("Hugging Face Hub (nothing is uploaded unless you ask)")
    group.add_argument("--push-to-hub", metavar="NAME", help="upload the adapter and its card when training is done")
    group.add_argument("--hub-private", action="store_true", help="make a new repository private")
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
    from byorn.plugins import load_plugins, record_plugins
    from byorn.training.push import push_adapter, require_push

    spec = TrainSpec(
        options.defense, options.percentile, options.score_batch_size, options.lora_rank, options.lora_alpha, options.lora_dropout,
        options.lora_targets, training_arguments(options),
        dict(parse_setting(text, "--defense-option") for text in options.defense_options), options.lora_vision,
    )  # fmt: skip
    out = Path(options.out)
    if options.push_to_hub:
        require_push(options.push_to_hub)
    plugins = load_plugins(options.plugins)
    train(data_spec(options), model_spec(options), out, spec)
    record_plugins(out, plugins)
    print(f"{out / 'adapter'}\n{out / 'training.json'}")
    if options.push_to_hub and is_main():
        print(push_adapter(out / "adapter", options.push_to_hub, private=options.hub_private or None))


def pattern(text: str) -> str:
    """A regular expression, as text."""
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(text) from error
    return text


def training_arguments(options: argparse.Namespace) -> dict[str, Any]:
    """Fields of `ByornConfig` from the YAML file, then `--set`, then the options with a name of their own."""
    arguments = {name: as_number(value) for name, value in getattr(options, "config_arguments", {}).items()}
    arguments |= dict(parse_setting(text) for text in options.arguments)
    for name, value in arguments.items():
        if name in _UNFIT:
            raise ConfigError(f"--set {name}: {_UNFIT[name]}")
        if name.endswith("_strategy") and value is False:  # YAML reads the word no as false
            arguments[name] = "no"
    return arguments | {name: getattr(options, name) for name in SHORTCUTS if getattr(options, name) is not None}
