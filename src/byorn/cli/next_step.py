"""What to type next, as a last line where it helps: `next: byorn verify runs/safe`."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from byorn.cli.arguments import spelled
from byorn.cli.training_file import TrainingFile
from byorn.runs.narrate import say
from byorn.settings import settings_of

Step = Sequence[str | Path]
"""A command of byorn and its options, one word each."""


def tell_next(*steps: Step, first: str = "") -> None:
    """Say which commands go on from here, any of which will do, and what has to be done `first`."""
    say(f"next: {first}" + ", or ".join(shlex.join(["byorn", *map(_word, step)]) for step in steps))


def _word(word: str | Path) -> str:
    """A word as it is typed: a path that begins with a dash would be taken for an option."""
    return f"./{word}" if isinstance(word, Path) and str(word).startswith("-") else str(word)


def review_step(run: Path) -> Step:
    """Decide about the flagged rows of a run."""
    return ["review", run, "--export", "rows.csv"]


def train_step(run: Path, *specs: object, file: TrainingFile | None = None) -> Step:
    """A training on the scan in `run`, with the settings that the scan had; a `file` that it took some of them from
    says them again, and what the training alone reads.
    """
    config: Step = ["--config", file.path] if file else []
    shared = file.shared if file else {}
    return ["train", *config, *(word for spec in specs for word in _options(spec, shared)), "--scan", run]


def _options(spec: object, said: Mapping[str, object]) -> list[str]:
    """The settings that differ from what is `said` elsewhere, or else from their defaults, as they are typed."""
    words: list[str] = []
    for option, item, _ in settings_of(type(spec)):
        value = getattr(spec, item.name)
        if value == (item.default if said.get(option) is None else said[option]):
            continue
        typed = str(value)
        if value is True:
            words += [spelled(option)]
        else:
            words += [f"{spelled(option)}={typed}"] if typed.startswith("-") else [spelled(option), typed]
    return words
