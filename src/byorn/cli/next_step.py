"""What to type next, as a last line where it helps: `next: byorn verify runs/safe`."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from byorn.cli.arguments import spelled
from byorn.runs.narrate import say
from byorn.settings import settings_of

Step = Sequence[str | Path]
"""A command of byorn and its options, one word each."""


def tell_next(*steps: Step, first: str = "") -> None:
    """Say which commands go on from here, any of which will do, and what has to be done `first`."""
    say(f"next: {first}" + ", or ".join(shlex.join(["byorn", *map(str, step)]) for step in steps))


def review_step(run: Path) -> Step:
    """Decide about the flagged rows of a run."""
    return ["review", run, "--export", "rows.csv"]


def train_step(run: Path, *specs: object) -> Step:
    """A training on the scan in `run`, with the settings that the scan had."""
    return ["train", *(word for spec in specs for word in _options(spec)), "--scan", run]


def _options(spec: object) -> list[str]:
    """The settings that differ from their defaults, as they are typed."""
    words: list[str] = []
    for option, item, _ in settings_of(type(spec)):
        value = getattr(spec, item.name)
        if value != item.default:
            words += [spelled(option)] if value is True else [spelled(option), str(value)]
    return words
