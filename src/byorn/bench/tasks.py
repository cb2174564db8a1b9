"""The tasks of the bench: clean training and test rows, and the metric that says how useful a model is on them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from byorn.bench import easy_vqa
from byorn.data.load import load_rows
from byorn.data.row import Row
from byorn.embedded import tasks as drawn
from byorn.errors import ConfigError


@dataclass(frozen=True)
class Task:
    """Rows and how they are judged."""

    train: list[Row]
    test: list[Row]
    metric: str
    max_new_tokens: int


DRAWN = {"captions": ("cider", 64), "questions": ("vqa_accuracy", 8), "differences": ("cider", 48)}
"""Tasks on drawn scenes: metric and longest response in tokens."""

EASY_VQA = "easy-vqa"
TASKS = (*DRAWN, EASY_VQA)
OWN = ("train", "test", "metric", "max_new_tokens")


def task_name(task: str | Mapping[str, Any]) -> str:
    return task if isinstance(task, str) else str(task.get("name") or Path(str(task.get("train"))).stem)


def load_task(task: str | Mapping[str, Any], rows: int, test_rows: int, seed: int, folder: Path) -> Task:
    """The rows of a task; drawn ones are written into `folder` first.

    Args:
        task: A name of `TASKS`, or a mapping: `train` and `test` are paths that `byorn scan --data` reads, `metric` a
            utility metric, `max_new_tokens` the longest response.

    Raises:
        ConfigError: The task is unknown or incomplete.
        DataError: Its rows cannot be read.
    """
    if isinstance(task, Mapping):
        missing = [key for key in OWN[:3] if key not in task]
        if missing:
            raise ConfigError(f"task: {missing[0]!r} is missing; give {', '.join(OWN)}")
        train, test = (
            load_rows(task[part], limit=count).rows for part, count in (("train", rows), ("test", test_rows))
        )
        return Task(train, test, task["metric"], int(task.get("max_new_tokens", 64)))
    if task == EASY_VQA:
        return Task(easy_vqa.read_rows("train", rows, seed), easy_vqa.read_rows("test", test_rows, seed), "vqa_accuracy", 8)  # fmt: skip
    if task not in DRAWN:
        raise ConfigError(f"task: {task!r} is unknown; use one of {', '.join(TASKS)}, or a mapping with train and test")
    train = load_rows(drawn.write_task(folder / "clean", task, rows, seed=2 * seed)).rows
    test = load_rows(drawn.write_task(folder / "clean_test", task, test_rows, seed=2 * seed + 1)).rows
    return Task(train, test, *DRAWN[task])
