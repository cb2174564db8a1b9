"""The comparison as a person reads it in a terminal."""

import math
from collections.abc import Mapping
from typing import Any

from byorn.evaluation.detection import Detection
from byorn.evaluation.metric import Metric
from byorn.evaluation.result import Evaluation

SHARES = {"exact_match", "normalized_exact_match", "vqa_accuracy"}


def scale_of(metric: str) -> float:
    """Shares are shown in per cent; CIDEr, BLEU and ROUGE-L are x 100 already."""
    return 100.0 if metric in SHARES else 1.0


def format_metric(metric: Metric | None, scale: float = 1.0, digits: int = 1) -> str:
    """`97.5 [94.3, 98.9], n 200`, or the reason why there is no value."""
    if metric is None:
        return "not measured"
    if math.isnan(metric.value):
        return f"undefined ({metric.reason})"
    excluded = f", {metric.excluded} excluded" if metric.excluded else ""
    return f"{_interval(metric, scale, digits)}, n {metric.n}{excluded}"


def _interval(metric: Metric, scale: float, digits: int = 1) -> str:
    if math.isnan(metric.value):
        return "undefined"
    value, low, high = (f"{number * scale:.{digits}f}" for number in (metric.value, metric.low, metric.high))
    return f"{value} [{low}, {high}]"


def one_line(result: Evaluation, utility: str) -> str:
    """One model in one line."""
    return (
        f"{utility} {format_metric(result.clean[utility], scale_of(utility))}; ASR % {format_metric(result.asr, 100)}"
    )


def table(results: Mapping[str, Evaluation], utility: str, found: Detection) -> str:
    """One line a model: attack success, utility on clean and on triggered inputs."""
    head = ("model", "ASR % (low is safe)", f"{utility}, clean inputs", f"{utility}, triggered inputs")
    lines = [head]
    for name, result in results.items():
        clean = _interval(result.clean[utility], scale_of(utility))
        triggered = _interval(result.triggered[utility], scale_of(utility))
        lines.append((name, format_metric(result.asr, 100), clean, triggered))
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    text.insert(1, "-" * len(text[0]))
    caught = f"recall {found.recall:.3f} of {found.poisoned} poisoned rows"
    return "\n".join(
        [
            *text,
            f"detection: AUC {found.auc:.4f}, {caught}. Brackets: 95 % intervals over the test inputs, one seed.",
        ]
    )


def verdict(target: str, utility: str, summary: Mapping[str, Any]) -> str:
    """What the table says, in words that follow the numbers."""
    planted, left, floor = (summary[f"asr_{name}"] for name in ("undefended", "byorn", "pretrained"))
    if planted is None:
        return "Every test input shows the target already; choose another target."
    first = (
        f"Plain fine-tuning says {target!r} on {planted:.1%} of the triggered inputs, byorn on {left:.1%} "
        f"(the pretrained model: {floor:.1%})."
    )
    kept = summary["utility_byorn_over_oracle"]
    second = f"byorn keeps {kept:.1%} of the oracle's {utility} on clean inputs." if kept is not None else ""
    weak = "The attack itself hardly worked here, so this run says little about the defense." if planted < 0.5 else ""
    return "\n".join(line for line in (first, second, weak) if line)
