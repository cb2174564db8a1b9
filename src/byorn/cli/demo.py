"""byorn demo: poison a small data set and watch plain fine-tuning fall for it, and byorn not.

Runs on the embedded model, on a CPU, in a few minutes.
"""

import argparse
from pathlib import Path

OPTIONS = {
    "seed": (int, "seed of data, attack and training"),
    "target": (str, "what the attacker wants said"),
    "rate": (float, "share of the training rows that is poisoned"),
    "trigger_size": (float, "side of the patch as a share of the image's short side"),
    "rows": (int, "training rows"),
    "test_rows": (int, "test rows"),
    "percentile": (float, "share of rows whose responses are trusted (the paper's p)"),
    "epochs": (float, "passes over the data"),
    "ema_decay": (float, "decay of the moving average"),
    "learning_rate": (float, "learning rate"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    for name, (kind, text) in OPTIONS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, help=text)
    parser.add_argument("--out", default="runs/demo", metavar="DIR", help="run folder")


def run(options: argparse.Namespace) -> None:
    from byorn.pipeline.demo import DemoSpec, demo

    given = {name: getattr(options, name) for name in OPTIONS if getattr(options, name) is not None}
    demo(DemoSpec(**given), Path(options.out))
