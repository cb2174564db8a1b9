"""The ROC curves of an experiment's detectors: one panel an attack, one color a detector, a thin line a seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

from byorn.bench.grids import rank
from byorn.bench.plot import COLORS, literal, load_pyplot, save
from byorn.bench.result import CellResult, Curve
from byorn.pipeline.settings.defenses import FLAGGING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SCORE = "byorn's score"
"""What the defenses of `FLAGGING` share: the same score of the same rows."""
COLUMNS = 4


@dataclass(frozen=True)
class Run:
    """What one run of a detector found."""

    auc: float
    curve: Curve


Runs = dict[tuple[float, int], Run]
"""(rate, seed) -> what was found there."""


def plot_roc(results: Sequence[CellResult], title: str, path: Path) -> bool:
    """Draw every curve that the results hold; False, and nothing is written, if they hold none."""
    curves = _curves(results)
    if not curves:
        return False
    attacks = list(dict.fromkeys(attack for attack, _ in curves))
    detectors = sorted({detector for _, detector in curves}, key=rank)
    figure, panels = _panels(len(attacks))
    for attack, axes in zip(attacks, panels, strict=True):
        for number, detector in enumerate(detectors):
            _draw(axes, detector, curves.get((attack, detector), {}), COLORS[number % len(COLORS)])
        axes.set(title=literal(attack))
        axes.legend(loc="lower right", fontsize=8, frameon=False)
    figure.suptitle(literal(title))
    save(figure, path)
    return True


def _panels(count: int) -> tuple["Figure", list["Axes"]]:
    """A figure and so many axes, square and empty but for the line of chance."""
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    figure, grid = load_pyplot().subplots(
        rows,
        columns,
        figsize=(3.4 * columns, 3.4 * rows),
        layout="constrained",
        squeeze=False,
        sharex=True,
        sharey=True,
    )
    for axes in grid.flat[count:]:
        axes.set_visible(False)
    for axes in grid.flat[:count]:
        axes.plot([0, 1], [0, 1], ":", color="gray", lw=1)
        axes.grid(alpha=0.25)
        axes.tick_params(labelbottom=True)  # there may be no axes below
    figure.supxlabel("share of the clean rows flagged")
    figure.supylabel("of the poisoned rows flagged")
    return figure, list(grid.flat[:count])


def _curves(results: Sequence[CellResult]) -> dict[tuple[str, str], Runs]:
    """(attack, detector) -> its runs."""
    found: dict[tuple[str, str], Runs] = {}
    for result in results:
        cell = result.cell
        group = result.cell.group
        if result.detection and result.roc:
            detector = (f"{SCORE}, {cell.rule}" if cell.rule else SCORE) if cell.defense in FLAGGING else cell.defense
            run = Run(result.detection.auc, result.roc)
            found.setdefault((group.label, detector), {})[group.rate, group.seed] = run
    return found


def _draw(axes: "Axes", detector: str, runs: Runs, color: str) -> None:
    for number, run in enumerate(runs.values()):
        name = f"{literal(detector)}, AUC {mean(run.auc for run in runs.values()):.3f}"
        label = "_" if number else name  # one entry a detector
        axes.plot(run.curve["false"], run.curve["true"], lw=1.2, alpha=0.7, color=color, label=label)
