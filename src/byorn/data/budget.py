"""A bound on what threads hold in memory together, whatever their number."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class Budget:
    """Let threads in while what they hold together stays within `total`; the others wait.

    Args:
        total: What may be held at a time, in any unit. What is larger by itself counts as `total`, and is held alone.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._held = 0
        self._changed = Condition()

    @contextmanager
    def hold(self, amount: int) -> Iterator[None]:
        """Wait for room, and give it back at the end."""
        amount = min(amount, self._total)
        with self._changed:
            self._changed.wait_for(lambda: self._held + amount <= self._total)
            self._held += amount
        try:
            yield
        finally:
            with self._changed:
                self._held -= amount
                self._changed.notify_all()
