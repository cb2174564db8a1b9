"""The tasks of the bench: clean training and test rows, and the metric that says how useful a model is on them.

To add one: a function that gives a `Task`, and one line in `TASKS`; or, from a file of your own, see docs/extending.md.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import cast

from byorn.bench import easy_vqa
from byorn.data.load import load_rows
from byorn.data.row import Row
from byorn.embedded.tasks import write_task
from byorn.errors import ConfigError
from byorn.pipeline.evaluate import check_metrics
from byorn.settings import check_value, positive, unknown


@dataclass(frozen=True)
class Task:
    """Rows and how they are judged.

    Attributes:
        train, test: Clean rows.
        metric: The utility metric, a key of `byorn.evaluation.registry.METRICS`.
        max_new_tokens: Longest evaluated response.
        more_tests: Further test sets by name, which the same fine-tunes are asked about.
    """

    train: Sequence[Row]
    test: Sequence[Row]
    metric: str
    max_new_tokens: int
    more_tests: Mapping[str, Sequence[Row]] = field(default_factory=dict)


Loader = Callable[[int, int, int, Path], Task]
"""(rows, test_rows, seed, folder) -> the task; equal arguments give equal rows. Files are written into `folder`."""


def draw(rows: int, test_rows: int, seed: int, folder: Path, *, name: str, metric: str, max_new_tokens: int) -> Task:
    """A task on drawn scenes, see `byorn.embedded.tasks`; training and test rows have seeds of their own."""
    train = list(load_rows(write_task(folder / "clean", name, rows, seed=2 * seed)).rows)
    test = list(load_rows(write_task(folder / "clean_test", name, test_rows, seed=2 * seed + 1)).rows)
    return Task(train, test, metric, max_new_tokens)


def ask_easy_vqa(rows: int, test_rows: int, seed: int, folder: Path) -> Task:
    """Questions of the installed package; nothing is written."""
    train = easy_vqa.read_rows("train", rows, seed)
    test = easy_vqa.read_rows("test", test_rows, seed)
    return Task(train, test, "vqa_accuracy", 8)


TASKS: dict[str, Loader] = {
    "captions": partial(draw, name="captions", metric="cider", max_new_tokens=64),
    "messy": partial(draw, name="messy", metric="cider", max_new_tokens=64),
    "questions": partial(draw, name="questions", metric="vqa_accuracy", max_new_tokens=8),
    "differences": partial(draw, name="differences", metric="cider", max_new_tokens=48),
    "easy-vqa": ask_easy_vqa,
}
LONGEST = 64
"""Tokens of an evaluated response of a task of your own that does not say."""
OWN = ("train", "test", "metric", "max_new_tokens", "more_tests", "name")


def load_task(task: str | Mapping[str, object], rows: int, test_rows: int, seed: int, folder: Path) -> Task:
    """The rows of a task; those that are drawn are written into `folder` first.

    Args:
        task: A name of `TASKS`, or a mapping: `train` and `test` are paths that `byorn scan --data` reads, `metric` a
            utility metric, `max_new_tokens` the longest response, `more_tests` further test sets: name -> path,
            `name` what tables call it.

    Raises:
        ConfigError: The task is unknown or incomplete.
        DataError: Its rows cannot be read.
    """
    check_task(task)
    if isinstance(task, Mapping):
        return _own(task, rows, test_rows)
    loaded = TASKS[task](rows, test_rows, seed, folder)
    if not isinstance(loaded, Task):
        raise ConfigError(f"task: {task!r} gives a {type(loaded).__name__}; its function must return a Task")
    return loaded


def check_task(task: str | Mapping[str, object]) -> None:
    """Refuse a task that cannot be loaded; of one of your own its files are not looked at.

    Raises:
        ConfigError: The task is unknown or incomplete.
    """
    if isinstance(task, Mapping):
        _check_own(task)
    elif task not in TASKS:
        raise ConfigError(f"task: {task!r} is unknown; use one of {', '.join(TASKS)}, or a mapping with train and test")


def _check_own(task: Mapping[str, object]) -> None:
    missing = [key for key in OWN[:3] if key not in task]
    if missing:
        raise ConfigError(f"task: {missing[0]!r} is missing; give {', '.join(OWN)}")
    if strangers := [key for key in task if key not in OWN]:
        raise ConfigError(f"task: {unknown('field', strangers[0], OWN)}")
    if not isinstance(more := task.get("more_tests", {}), Mapping):
        raise ConfigError(f"task: more_tests is {more!r}; give `name: path` lines")
    check_metrics([str(task["metric"])])
    check_value("task: max_new_tokens", task.get("max_new_tokens", LONGEST), int, positive)


def _own(task: Mapping[str, object], rows: int, test_rows: int) -> Task:
    train = list(load_rows(str(task["train"]), limit=rows).rows)
    test = list(load_rows(str(task["test"]), limit=test_rows).rows)
    more = cast("Mapping[str, object]", task.get("more_tests", {}))
    others = {str(name): list(load_rows(str(path), limit=test_rows).rows) for name, path in more.items()}
    return Task(train, test, str(task["metric"]), cast(int, task.get("max_new_tokens", LONGEST)), others)
