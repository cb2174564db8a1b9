"""byorn bench: run experiments, and turn their results into tables and plots.

`run` skips what has a result; `table` and `plot` read the experiment and its result files alone. `byorn bench speed`
is a command of its own, `byorn.cli.speed`.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, cast

from byorn.bench.settings import BenchSpec
from byorn.cli import speed
from byorn.cli.arguments import Command, Positional, Values
from byorn.runs.settings import Common
from byorn.settings import build

if TYPE_CHECKING:
    from pathlib import Path

    from byorn.bench.experiment import Experiment
    from byorn.bench.result import CellResult


class Words(TypedDict, total=False):
    """The positional arguments."""

    action: str
    names: list[str]


FORMATS = {"run": (None,), "table": ("markdown", "html", "json"), "plot": ("svg", "png")}
"""What each action can write, the default first."""


def run(values: Values) -> None:
    from byorn.bench.experiment import read_experiment

    spec = build(BenchSpec, values)
    words = cast(Words, values)
    action = words["action"]
    form = _format(action, spec.format)
    names = dict.fromkeys(words.get("names") or ["main"])
    experiments = [read_experiment(spec.experiments / f"{name}.yaml") for name in names]
    if action == "run":
        _run(spec, experiments, build(Common, values).plugins)
    else:
        {"table": _table, "plot": _plot}[action](spec, experiments, str(form))


def _format(action: str, asked: str | None) -> str | None:
    from byorn.errors import ConfigError

    known = FORMATS[action]
    if asked and asked not in known:
        raise ConfigError(
            f"--format {asked}: {action} writes {' or '.join(filter(None, known)) or 'result files only'}"
        )
    return asked or known[0]


def _run(spec: BenchSpec, experiments: "list[Experiment]", plugins: Sequence[Path]) -> None:
    from byorn.bench.run import run_experiments
    from byorn.errors import BenchError
    from byorn.runs.folder import make_folder

    make_folder(spec.results, "--results")
    make_folder(spec.work, "--work")

    failures = run_experiments(
        experiments, spec.results, spec.work, only=spec.only, share=spec.share, jobs=spec.jobs, gpus=spec.numbers,
        plugins=plugins,
    )  # fmt: skip
    if failures:
        raise BenchError(f"{len(failures)} failed, the rest is done; the first: {failures[0]}")


def _table(spec: BenchSpec, experiments: "list[Experiment]", form: str) -> None:
    from byorn.bench.results import lines
    from byorn.bench.table import FORMATS as WRITERS

    found = [line for experiment in experiments for line in lines(_results(spec, experiment))]
    titles = {experiment.name: experiment.title for experiment in experiments}
    sys.stdout.write(WRITERS[form](found, titles) + "\n")


def _plot(spec: BenchSpec, experiments: "list[Experiment]", form: str) -> None:
    from byorn.bench.plot import plot_frontier
    from byorn.bench.results import lines
    from byorn.bench.roc import plot_roc
    from byorn.runs.narrate import say

    for experiment in experiments:
        found = _results(spec, experiment)
        frontier, roc = (spec.results / f"{experiment.name}-{kind}.{form}" for kind in ("frontier", "roc"))
        plot_frontier(lines(found), experiment.title, frontier)
        print(frontier)
        if plot_roc(found, experiment.title, roc):
            print(roc)
        else:
            say(f"{experiment.name}: no ROC curves; no result holds one")


def _results(spec: BenchSpec, experiment: "Experiment") -> "list[CellResult]":
    from byorn.bench.results import read_results

    return read_results(spec.results / experiment.name, experiment.by_slug())


COMMAND = Command(
    run=run,
    settings=(BenchSpec, Common),
    example="byorn bench run main --jobs 2",
    positionals=(
        Positional(
            name="action",
            choices=tuple(FORMATS),
            help="what to do; a fourth, speed, has options of its own: byorn bench speed --help",
        ),
        Positional(name="names", several=True, help="experiments, by file name without ending (default: main)"),
    ),
    parts={"speed": speed.COMMAND},
)
