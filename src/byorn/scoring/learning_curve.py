"""How an adaptation goes, and when it is over. No torch here."""

from collections.abc import Mapping
from dataclasses import dataclass

LOOK = 5
"""Steps between two looks."""
ENOUGH = 0.25
"""Of the first median: where the last one has come to that, the style is learned."""
PATIENCE = 2
GAIN = 0.1
"""A look must lower the median by this share of the lowest one so far, or it counts as none."""
QUICK = 20
"""Steps within which one style is learned."""
KNOWN = 1.0
"""Nats a token: where the first median is at most that, the pretrained model knows the style."""
_KEY = "adaptation"


@dataclass(frozen=True)
class LearningCurve:
    """The looks of an adaptation.

    Attributes:
        medians: Of the scores of rows that are not learned, in nats a token, at each look; the first one is the
            pretrained model's.
    """

    medians: tuple[float, ...] = ()

    @property
    def steps(self) -> int:
        return LOOK * max(0, len(self.medians) - 1)

    @property
    def settled(self) -> bool:
        """Whether the style is learned."""
        return bool(self.medians) and self.medians[-1] <= ENOUGH * self.medians[0]

    @property
    def one_style(self) -> bool:
        """Whether all rows have one style: it was known before, or soon learned."""
        known = bool(self.medians) and self.medians[0] <= KNOWN
        return known or (self.settled and self.steps <= QUICK)

    @property
    def over(self) -> bool:
        """Whether to stop: the style is learned, or `PATIENCE` looks have brought nothing."""
        earlier = self.medians[:-PATIENCE]
        idle = bool(earlier) and min(self.medians[-PATIENCE:]) > (1 - GAIN) * min(earlier)
        return self.settled or idle

    def then(self, median: float) -> "LearningCurve":
        """With one more look."""
        return LearningCurve((*self.medians, median))

    def as_metadata(self) -> dict[str, str]:
        """For the metadata of a score file."""
        return {_KEY: " ".join(f"{median:.6g}" for median in self.medians)}

    @staticmethod
    def of(metadata: Mapping[str, str]) -> "LearningCurve":
        """As a score file has it."""
        return LearningCurve(tuple(map(float, metadata.get(_KEY, "").split())))
