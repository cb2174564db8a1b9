"""byorn push: upload a trained adapter and its card to the Hugging Face Hub, and nothing else of the run."""

import argparse
from pathlib import Path

from byorn.cli.options import require


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--adapter", metavar="DIR", help="adapter folder of a run (required)")
    parser.add_argument("--to", metavar="NAME", help="repository on the Hub, owner/name (required)")
    parser.add_argument("--private", action="store_true", help="make a new repository private")


def run(options: argparse.Namespace) -> None:
    from byorn.training.push import push_adapter, require_push

    folder, name = Path(require(options, "adapter")), require(options, "to")
    require_push(name)
    print(push_adapter(folder, name, private=options.private or None))
