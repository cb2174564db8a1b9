"""byorn bench: run experiments, and turn their results into tables and plots.

`run` skips what has a result; `table` and `plot` read the experiment and its result files alone.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from byorn.cli.options import add_plugins

FORMATS = {"run": (None,), "table": ("markdown", "html", "json"), "plot": ("svg", "png")}
"""What each action can write, the default first."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("run", "table", "plot"), help="what to do")
    parser.add_argument("names", nargs="*", default=[], help="experiments, by file name without ending; default: main")
    parser.add_argument("--experiments", default="benchmarks/experiments", metavar="DIR", help="experiment files")
    parser.add_argument("--results", default="benchmarks/results", metavar="DIR", help="result files, tables and plots")
    parser.add_argument(
        "--work", default="runs/bench", metavar="DIR", help="data, adapters and predictions; safe to delete"
    )
    parser.add_argument(
        "--only", default="*", metavar="PATTERN", help="run: cells whose EXPERIMENT/CELL fits, as in a shell"
    )
    parser.add_argument("--jobs", type=int, default=1, help="run: processes at a time")
    parser.add_argument("--format", help="table: markdown (the default), html or json; plot: svg (the default) or png")
    add_plugins(parser)


def run(options: argparse.Namespace) -> None:
    from byorn.bench.experiment import read_experiment

    options.format = _format(options.action, options.format)
    names = list(dict.fromkeys(options.names or ["main"]))
    experiments = [read_experiment(Path(options.experiments) / f"{name}.yaml") for name in names]
    {"run": _run, "table": _table, "plot": _plot}[options.action](options, experiments)


def _format(action: str, asked: str | None) -> str | None:
    from byorn.errors import ConfigError

    known = FORMATS[action]
    if asked and asked not in known:
        raise ConfigError(
            f"--format {asked}: {action} writes {' or '.join(filter(None, known)) or 'result files only'}"
        )
    return asked or known[0]


def _run(options: argparse.Namespace, experiments: list) -> None:
    from byorn.bench.run import run_experiments
    from byorn.errors import BenchError

    failures = run_experiments(
        experiments, Path(options.results), Path(options.work), only=options.only, jobs=options.jobs, plugins=options.plugins
    )  # fmt: skip
    if failures:
        raise BenchError(f"{len(failures)} failed, the rest is done; the first: {failures[0]}")


def _table(options: argparse.Namespace, experiments: list) -> None:
    from byorn.bench.results import lines
    from byorn.bench.table import FORMATS as WRITERS

    found = [line for experiment in experiments for line in lines(_results(options, experiment))]
    titles = {experiment.name: experiment.title for experiment in experiments}
    sys.stdout.write(WRITERS[options.format](found, titles) + "\n")


def _plot(options: argparse.Namespace, experiments: list) -> None:
    from byorn.bench.plot import plot_frontier
    from byorn.bench.results import lines
    from byorn.bench.roc import plot_roc
    from byorn.runs.narrate import say

    for experiment in experiments:
        found = _results(options, experiment)
        frontier, roc = (
            Path(options.results) / f"{experiment.name}-{kind}.{options.format}" for kind in ("frontier", "roc")
        )
        plot_frontier(lines(found), experiment.title, frontier)
        print(frontier)
        if plot_roc(found, experiment.title, roc):
            print(roc)
        else:
            say(f"{experiment.name}: no ROC curves; no result holds one")


def _results(options: argparse.Namespace, experiment: Any) -> list[dict[str, Any]]:
    from byorn.bench.results import read_results

    return read_results(Path(options.results) / experiment.name, experiment.slugs())
