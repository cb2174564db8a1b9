"""One progress bar for every phase: rate and time left, on a terminal only, and in the first process only."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from byorn.runs.narrate import for_machines
from byorn.runs.ranks import is_main


@contextmanager
def progress(total: int, phase: str, unit: str = "row", *, wanted: bool = True) -> Iterator[Any]:
    """A bar of tqdm; `bar.update(n)` moves it.

    Args:
        total: How many units there are.
        phase: What is done: `scoring`.
        unit: What is counted.
        wanted: False shows none.
    """
    from tqdm import tqdm

    shown = wanted and is_main() and not for_machines()
    with tqdm(total=total, desc=phase, unit=unit, disable=None if shown else True, leave=False) as bar:
        yield bar
