"""The ROC curves of an experiment's detectors, as SVG or PNG: one panel an attack, one colour a detector, a thin line a seed."""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from byorn.bench.experiment import FLAGGING
from byorn.bench.grids import rank
from byorn.bench.plot import COLOURS, literal, load_pyplot, save

SCORE = "byorn's score"
"""What the defences of `FLAGGING` share: the same score of the same rows."""
COLUMNS = 4


def plot_roc(results: Sequence[dict[str, Any]], title: str, path: Path) -> bool:
    """Draw every curve that the results hold; False, and nothing is written, if they hold none."""
    curves = _curves(results)
    if not curves:
        return False
    attacks = list(dict.fromkeys(attack for attack, _ in curves))
    detectors = sorted({detector for _, detector in curves}, key=rank)
    columns = min(COLUMNS, len(attacks))
    figure, panels = load_pyplot().subplots(
        -(-len(attacks) // columns), columns, figsize=(3.4 * columns, 3.4 * -(-len(attacks) // columns)),
        layout="constrained", squeeze=False, sharex=True, sharey=True,
    )  # fmt: skip
    for axes in panels.flat[len(attacks) :]:
        axes.set_visible(False)
    for attack, axes in zip(attacks, panels.flat, strict=False):
        own = {detector: curves[attack, detector] for detector in detectors if (attack, detector) in curves}
        _draw(
            axes, attack, own, {detector: COLOURS[number % len(COLOURS)] for number, detector in enumerate(detectors)}
        )
    figure.suptitle(literal(title))
    figure.supxlabel("share of the clean rows that is flagged")
    figure.supylabel("share of the poisoned rows that is flagged")
    save(figure, path)
    return True


def _curves(results: Sequence[dict[str, Any]]) -> dict[tuple[str, str], dict[tuple[float, int], dict[str, Any]]]:
    """(attack, detector) -> (rate, seed) -> detection with its curve."""
    found: dict[tuple[str, str], dict[tuple[float, int], dict[str, Any]]] = {}
    for result in results:
        cell, group = result["cell"], result["cell"]["group"]
        if "roc" in (result["detection"] or {}):
            detector = SCORE if cell["defense"] in FLAGGING else cell["defense"]
            found.setdefault((group["label"], detector), {})[group["rate"], group["seed"]] = result["detection"]
    return found


def _draw(
    axes: Any, attack: str, own: dict[str, dict[tuple[float, int], dict[str, Any]]], colours: dict[str, str]
) -> None:
    for detector, runs in own.items():
        label = f"{literal(detector)}, AUC {mean(found['auc'] for found in runs.values()):.3f}"
        for found in runs.values():
            axes.plot(
                found["roc"]["false"], found["roc"]["true"], lw=1.2, alpha=0.7, color=colours[detector], label=label
            )
            label = "_"  # one entry a detector
    axes.plot([0, 1], [0, 1], ":", color="gray", lw=1)
    axes.set(title=literal(attack))
    axes.grid(alpha=0.25)
    axes.legend(loc="lower right", fontsize=8, frameon=False)
