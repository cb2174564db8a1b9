"""The frontier of an experiment, utility against ASR, as SVG or PNG."""

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from byorn.bench.grids import by_setting, rank
from byorn.bench.results import Line
from byorn.errors import ConfigError, DataError
from byorn.evaluation.tables import scale_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = (*(f"C{number}" for number in range(10)), "black", "crimson")
MARKERS = "sD^v<>PXhpod8*H"
SAFE = 5.0
"""The ASR in % up to which the right panel of the frontier looks."""


def plot_frontier(lines: Sequence[Line], title: str, path: Path) -> None:
    """Utility (up is useful) against ASR (left is safe), one color a defense and one marker a setting of it: faint
    points are attacks with their 95 % intervals, the strong one is their mean. On the right the safe and useful corner,
    which is crowded.

    Raises:
        DataError: No line has both.
    """
    scale = scale_of(lines[0].metric)
    rated = [line for line in lines if line.asr is not None and line.utility is not None]
    if not rated:
        raise DataError(f"{path.name}: no cell has both a utility and an ASR; there is nothing to draw")
    figure, panels = load_pyplot().subplots(1, 2, figsize=(11, 5), layout="constrained")
    for axes in panels:
        _draw_settings(axes, rated, scale)
        axes.set_xlabel("attack success rate, % (left is safe)")
        axes.grid(alpha=0.25)
    values = [scale * line.utility for line in rated if line.utility is not None]
    room = 0.04 * max(values)
    panels[0].set(
        xlim=(-3, 103), ylim=(min(values) - room, max(values) + room), ylabel=f"{lines[0].metric}, clean inputs"
    )
    panels[1].set(xlim=(-0.03 * SAFE, SAFE), ylim=(max(values) - 3 * room, max(values) + room))
    panels[1].legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    figure.suptitle(literal(title))
    save(figure, path)


def _draw_settings(axes: "Axes", lines: Sequence[Line], scale: float) -> None:
    defenses = sorted({line.defense for line in lines}, key=rank)
    for number, (setting, own) in enumerate(by_setting(lines).items()):
        color = COLORS[defenses.index(own[0].defense) % len(COLORS)]
        marker = MARKERS[number % len(MARKERS)]
        x = 100 * np.array([line.asr for line in own], dtype=float)
        y = scale * np.array([line.utility for line in own], dtype=float)
        x_error = np.abs(100 * np.array([line.asr_interval for line in own], dtype=float).T - x)
        y_error = np.abs(scale * np.array([line.utility_interval for line in own], dtype=float).T - y)
        axes.errorbar(x, y, y_error, x_error, ls="none", ms=4, lw=0.7, alpha=0.3, color=color, marker=marker)
        name = literal(setting)
        axes.plot(x.mean(), y.mean(), ls="none", ms=9, mec="white", label=name, zorder=3, color=color, marker=marker)


def literal(text: str) -> str:
    """The text as matplotlib shows it letter for letter: a dollar would open a formula."""
    return text.replace("$", r"\$")


def save(figure: "Figure", path: Path) -> None:
    """As the ending says; the same figure gives the same bytes."""
    figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
    load_pyplot().close(figure)


def load_pyplot() -> ModuleType:
    """Matplotlib, set to draw into files.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise ConfigError("plots need matplotlib: pip install 'byorn[bench]'") from error
    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "byorn"  # the same results give the same file
    from matplotlib import pyplot

    return pyplot
