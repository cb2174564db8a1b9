"""One timer for phases: seconds and peak memory of each, announced where people follow along."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from byorn.runs.memory import peak_megabytes, reset_peak
from byorn.runs.narrate import say
from byorn.runs.narrate import seconds as spoken


@dataclass
class Timer:
    """Seconds and peak memory in MB by phase.

    Attributes:
        steps: How many phases with a headline there will be.
    """

    steps: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    peak_megabytes: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str, headline: str = "") -> Iterator[None]:
        """Measure what happens inside; a headline is said before, and the seconds after."""
        if headline:
            say(f"\n== {len(self.seconds) + 1}/{self.steps} {headline}", phase=name)
        reset_peak()
        began = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - began, 3)
        self.peak_megabytes[name] = round(peak_megabytes(), 1)
        if headline:
            say(f"   ({spoken(self.seconds[name])})", phase=name, seconds=self.seconds[name])
