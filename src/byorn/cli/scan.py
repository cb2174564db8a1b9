"""byorn scan: score every response under the pretrained model, and flag the implausible ones."""

import argparse
from pathlib import Path

from byorn.cli.options import add_data, add_model, data_spec, model_spec


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_data(parser)
    add_model(parser)
    parser.add_argument("--out", default="runs/scan", metavar="DIR", help="run folder")
    parser.add_argument(
        "--percentile", type=float, default=0.6, help="share of rows whose responses are trusted (the paper's p)"
    )
    parser.add_argument("--batch-size", type=int, default=8, help="rows a forward pass; changes the speed only")
    parser.add_argument("--show", type=int, default=10, metavar="N", help="print the N least plausible responses")


def run(options: argparse.Namespace) -> None:
    from byorn.pipeline.scan import scan, show_suspects

    out = Path(options.out)
    result = scan(
        data_spec(options), model_spec(options), out, percentile=options.percentile, batch_size=options.batch_size
    )
    if options.show > 0:
        print(show_suspects(result, options.show))
    print(f"{out / 'scores.parquet'}\n{out / 'flags.parquet'}")
