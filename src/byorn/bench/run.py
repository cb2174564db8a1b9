"""Run experiments: what has a result is not run again, what fails is named and does not stop the rest."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from byorn.bench.apart import run_apart
from byorn.bench.experiment import Experiment
from byorn.bench.settled import differences
from byorn.bench.spec import Cell, Group
from byorn.errors import ConfigError, DataError, MismatchError
from byorn.plugins import load_plugins
from byorn.runs.narrate import quiet_libraries, say, seconds, show_any_text
from byorn.settings import unknown

if TYPE_CHECKING:
    from byorn.bench.result import CellResult


@dataclass(frozen=True)
class Job:
    """A group with the cells that are still to be run; one process takes it whole."""

    group: Group
    cells: tuple[Cell, ...]
    work: Path
    results: Path
    plugins: tuple[str | Path, ...] = ()


def run_experiments(
    experiments: Sequence[Experiment],
    results: Path,
    work: Path,
    *,
    only: str = "*",
    share: tuple[int, int] = (0, 1),
    jobs: int = 1,
    gpus: Sequence[int] = (),
    plugins: Sequence[str | Path] = (),
) -> list[str]:
    """Run every cell without a result; returns a line for each failure.

    Args:
        experiments: What to run, in this order.
        results: Result files go to `results/EXPERIMENT/CELL.json`.
        work: Data, adapters and predictions go to `work/EXPERIMENT/GROUP`; safe to delete.
        only: Pattern on `EXPERIMENT/CELL`, as in a shell.
        share: (i, n) for the groups i, i + n, ... of all, whether they have results or not: for n machines that share
            the folder of results.
        jobs: Processes, each with its share of the cores.
        gpus: Those of the processes, one for each.
        plugins: Python files to run first, beside those of each experiment; see `byorn.plugins`.

    Raises:
        ConfigError: A plugin cannot be used, or `only` fits no cell, or there are fewer GPUs than jobs.
        MismatchError: A result file was made with other settings, or with a plugin that has changed.
        DataError: A result file is broken.
    """
    queue = [job for experiment in experiments for job in pending(experiment, results, work, only, plugins)]
    first, count = share
    if count > 1:
        folders = [work / experiment.name / group.slug for experiment in experiments for group in experiment.groups()]
        queue = [job for job in queue if job.work in folders[first::count]]
    cells = sum(len(job.cells) for job in queue)
    if not queue:
        _require_match(experiments, only)
    say(f"{cells} cells to run in {len(queue)} groups")
    if jobs > len(gpus) > 0:
        raise ConfigError(f"gpus: {len(gpus)} for {jobs} jobs at a time; name as many, or use --jobs {len(gpus)}")
    if jobs == 1 and not gpus:
        return [failure for job in queue for failure in run_job(job)]
    threads = max(1, (os.cpu_count() or 1) // jobs)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))  # read by the workers when they start
    return run_apart(queue, run_job, jobs, name=lambda job: job.group.slug, gpus=gpus)


def _require_match(experiments: Sequence[Experiment], only: str) -> None:
    """Refuse a pattern that fits no cell at all, whether it has a result or not."""
    names = [f"{experiment.name}/{slug}" for experiment in experiments for slug in sorted(experiment.by_slug())]
    if not any(fnmatch(name, only) for name in names):
        near = get_close_matches(only, names, n=1, cutoff=0.3) or names[:1]
        raise ConfigError(f"only: no cell fits {only!r}; a cell is called {near[0]!r}, say")


def pending(
    experiment: Experiment, results: Path, work: Path, only: str, plugins: Sequence[str | Path] = ()
) -> list[Job]:
    """The cells of an experiment that have no result yet, by group."""
    jobs = []
    files = (*experiment.plugins, *plugins)
    digests = load_plugins(files)
    for group in experiment.groups():
        chosen = [cell for cell in experiment.cells(group) if fnmatch(f"{experiment.name}/{cell.slug}", only)]
        missing = tuple(cell for cell in chosen if not finished(cell, results / experiment.name, digests))
        if missing:
            _require_settings(missing)
            _require_defenses(experiment.defense_options)
            folder = work / experiment.name / group.slug
            jobs.append(Job(group, missing, folder, results / experiment.name, files))
    return jobs


def _require_settings(cells: Sequence[Cell]) -> None:
    """Refuse, before the first cell is run, what none of these could be run with."""
    from byorn.bench.cell import options_of
    from byorn.bench.tasks import check_task
    from byorn.defenses import defense_named
    from byorn.pipeline.evaluate import Attack, check_attack
    from byorn.training.config import check_arguments

    group = cells[0].group
    _ = group.recipe  # checks itself
    check_attack(Attack(group.attack.goal, group.attack.convention))
    check_arguments(cells[0].arguments)
    for cell in cells:
        defense_named(cell.defense, options_of(cell, Path()))
    check_task(group.task)


def _require_defenses(names: Iterable[str]) -> None:
    """Refuse options of a defense that nobody knows: they would go unread."""
    from byorn.defenses import DEFENSES

    if strangers := [name for name in names if name not in DEFENSES]:
        raise ConfigError(f"defense_options: {unknown('defense', strangers[0], DEFENSES)}")


def finished(cell: Cell, folder: Path, plugins: Mapping[str, str] = {}) -> bool:
    """Whether a cell has a result. A plugin that the result names must be the same; another had no part in it."""
    path = folder / f"{cell.slug}.json"
    if not path.exists():
        return False
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        changed = differences(result["cell"], cell)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: no result file ({error!r}); delete it and run the bench again") from error
    if changed:
        raise MismatchError(f"{path}: {changed[0]}; delete it or rename the experiment")
    known = result.get("plugins", {})
    if others := [name for name, digest in plugins.items() if known.get(name, digest) != digest]:
        raise MismatchError(f"{path}: made with another {others[0]}; delete it or rename the experiment")
    return True


def run_job(job: Job) -> list[str]:
    """The cells of a group, one after the other; a failure costs its own cell alone."""
    quiet_libraries()
    show_any_text()
    from byorn.bench.cell import close, prepare, run_cell
    from byorn.runs.folder import write_json

    try:
        shared = prepare(job.group, job.work, load_plugins(job.plugins))
    except Exception as error:
        return [_failure(job.group.slug, error)]
    failures = []
    for cell in job.cells:
        try:
            result = run_cell(cell, shared, job.work)
            job.results.mkdir(parents=True, exist_ok=True)
            write_json(job.results / f"{cell.slug}.json", result.as_dict())
            close(job.work / cell.slug)
        except Exception as error:
            failures.append(_failure(cell.slug, error))
            continue
        say(f"-- {cell.slug}: {_line(result)}")
    return failures


def _failure(name: str, error: Exception) -> str:
    line = f"{name}: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
    say(f"-- failed: {line}")
    return line


def _line(result: "CellResult") -> str:
    rate = result.figures.asr
    utility = result.figures.clean[result.metric].defined
    asr = "undefined" if rate is None or rate.defined is None else f"{rate.value:.1%}"
    shown = "undefined" if utility is None else f"{utility:.3f}"
    return f"ASR {asr}, {result.metric} {shown}, {seconds(sum(result.seconds.values()))}"
