"""Seconds and peak memory by phase. A phase inside another one is counted by itself: all phases add up to the whole.

A GPU is waited for at every border of a phase, so that its work counts where it was asked for.
"""

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from byorn.runs.memory import peak_megabytes, reset_peak


@dataclass
class Spent:
    """What a phase took.

    Attributes:
        wall: Seconds that passed.
        cpu: Seconds of all threads of this process.
        peak_megabytes: The most memory in use, see `byorn.runs.memory`.
    """

    wall: float = 0.0
    cpu: float = 0.0
    peak_megabytes: float = 0.0


class Clock:
    """Counts what happens inside `phase`.

    Attributes:
        spent: By phase, in the order in which they began.
    """

    def __init__(self) -> None:
        self.spent: dict[str, Spent] = {}
        self._open: list[str] = []
        self._since = (0.0, 0.0)

    @property
    def current(self) -> str:
        """The innermost phase; empty outside of all."""
        return self._open[-1] if self._open else ""

    def begin(self, phase: str) -> None:
        """A phase begins, and the one around it pauses."""
        self._close()
        self._open.append(phase)
        self.spent.setdefault(phase, Spent())
        self._since = now()

    def end(self) -> None:
        """The innermost phase ends."""
        self._close()
        self._open.pop()
        self._since = now()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """A phase; whatever began inside ends with it, also after an error."""
        depth = len(self._open)
        self.begin(name)
        try:
            yield
        finally:
            while len(self._open) > depth:
                self.end()

    def timed(self, phase: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same function as a phase."""

        @functools.wraps(work)
        def run(*args: Any, **kwargs: Any) -> Any:
            with self.phase(phase):
                return work(*args, **kwargs)

        return run

    @contextmanager
    def watching(self, owner: Any, name: str, phase: str) -> Iterator[None]:
        """A function of a module or class is a phase meanwhile."""
        original = vars(owner)[name]
        setattr(owner, name, self.timed(phase, original))
        try:
            yield
        finally:
            setattr(owner, name, original)

    def _close(self) -> None:
        if self._open:
            wall, cpu = now()
            spent = self.spent[self._open[-1]]
            spent.wall += wall - self._since[0]
            spent.cpu += cpu - self._since[1]
            spent.peak_megabytes = max(spent.peak_megabytes, peak_megabytes())
        reset_peak()


def now() -> tuple[float, float]:
    """Wall-clock and processor seconds, when the GPU is done."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter(), time.process_time()
