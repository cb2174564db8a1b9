"""The decay of the moving average, from the length of the run where nobody names one."""

import math
from dataclasses import dataclass

from byorn.training.settings import LONGEST_MEMORY

SHARE = 0.1
"""Memory by default, as a share of the run: what worked best at 136 steps lay above, at 380 steps below."""
TOO_LONG = 1 / 3
"""A memory over this share of the run leaves the average close to the pretrained model, which is worth a warning."""


@dataclass(frozen=True)
class Decay:
    """A decay and where it comes from.

    Attributes:
        value: In [0, 1], per optimizer step.
        reason: For a person, in a few words.
        warning: What is wrong with a value that was given; empty if nothing is.
    """

    value: float
    reason: str
    warning: str = ""


def decay_for(given: float | None, steps: int) -> Decay:
    """The decay of a run of `steps` optimizer steps: `given`, or 1 - 1 / memory with a memory of a tenth of the run, at
    least 1 and at most 100 steps (`docs/method.md`, section 4).
    """
    if given is None:
        memory = min(LONGEST_MEMORY, max(1.0, SHARE * steps))
        if memory in (1, LONGEST_MEMORY):
            return Decay(1 - 1 / memory, f"a memory of {memory:g}, for a run of {steps} steps")
        return Decay(1 - 1 / memory, f"a memory of {memory:.3g} steps, {SHARE:.0%} of the run's {steps}")
    remembered = 1 / (1 - given) if given < 1 else math.inf
    return Decay(given, "as given", _too_long(given, remembered, steps) if remembered > TOO_LONG * steps else "")


def _too_long(given: float, memory: float, steps: int) -> str:
    remembered = f"{memory:.3g}" if math.isfinite(memory) else "all"
    return (
        f"ema_decay {given:g}: a memory of {remembered} of the run's {steps} steps keeps flagged rows near the "
        f"pretrained model's answers; the default for this run is {decay_for(None, steps).value:.3g}"
    )
