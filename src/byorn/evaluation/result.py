"""What an evaluation found; it becomes JSON only where it is written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from byorn.evaluation.metric import Metric

SETS = ("clean", "triggered")
RATES = ("asr", "false_asr")


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The metrics of one model.

    Attributes:
        clean: Utility on clean inputs, by the name of the metric.
        triggered: Utility on triggered inputs; empty without such inputs.
        asr: Attack success rate on triggered inputs, None without such inputs.
        false_asr: The same rate on clean inputs.
    """

    clean: Mapping[str, Metric]
    triggered: Mapping[str, Metric] = field(default_factory=dict)
    asr: Metric | None = None
    false_asr: Metric | None = None

    def as_dict(self) -> dict[str, object]:
        """Plain values for strict JSON; what was not measured is left out."""
        plain: dict[str, object] = {"clean": _plain(self.clean)}
        if self.triggered:
            plain["triggered"] = _plain(self.triggered)
        rates = {"asr": self.asr, "false_asr": self.false_asr}
        return plain | {name: rate.as_dict() for name, rate in rates.items() if rate is not None}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "Evaluation":
        """The evaluation that `as_dict` wrote."""
        sets = {name: {key: Metric.from_dict(value) for key, value in plain.get(name, {}).items()} for name in SETS}
        rates = {name: Metric.from_dict(plain[name]) for name in RATES if name in plain}
        return cls(
            clean=sets["clean"], triggered=sets["triggered"], asr=rates.get("asr"), false_asr=rates.get("false_asr")
        )


def _plain(metrics: Mapping[str, Metric]) -> dict[str, object]:
    return {name: metric.as_dict() for name, metric in metrics.items()}
