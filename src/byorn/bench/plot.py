"""Two pictures of an experiment: utility against ASR, and the ROC curves of the score."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from byorn.attacks.manifest import read_manifest
from byorn.bench.grids import by_setting, rank
from byorn.errors import ConfigError
from byorn.pipeline.tables import scale_of
from byorn.scoring.table import read_scores

COLOURS = (*(f"C{number}" for number in range(10)), "black", "crimson")
MARKERS = "sD^v<>PXhpod8*H"


def plot_frontier(lines: Sequence[dict[str, Any]], title: str, path: Path) -> None:
    """Utility (up is useful) against ASR (left is safe), one colour a defence and one marker a setting of it: faint points are attacks with
    their 95 % intervals, the strong one is their mean.
    """
    pyplot = _pyplot()
    figure, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
    scale = scale_of(lines[0]["metric"])
    rated = [line for line in lines if line["asr"] is not None and line["utility"] is not None]
    defenses = sorted({line["defense"] for line in rated}, key=rank)
    for number, (setting, own) in enumerate(by_setting(rated).items()):
        colour = COLOURS[defenses.index(own[0]["defense"]) % len(COLOURS)]
        style = {"color": colour, "marker": MARKERS[number % len(MARKERS)]}
        x = np.array([100 * line["asr"] for line in own])
        y = np.array([scale * line["utility"] for line in own])
        x_error = np.abs(100 * np.array([line["asr_interval"] for line in own]).T - x)
        y_error = np.abs(scale * np.array([line["utility_interval"] for line in own]).T - y)
        axes.errorbar(x, y, y_error, x_error, ls="none", ms=4, lw=0.7, alpha=0.3, **style)
        axes.plot(x.mean(), y.mean(), ls="none", ms=9, mec="white", label=setting, zorder=3, **style)
    axes.set(xlabel="attack success rate, % (left is safe)", ylabel=f"{lines[0]['metric']}, clean inputs", title=title, xlim=(-3, 103))  # fmt: skip
    axes.grid(alpha=0.25)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    figure.savefig(path)
    pyplot.close(figure)


def plot_roc(work: Path, title: str, path: Path) -> int:
    """The ROC curve of the score for each group of an experiment that is still in `work`; returns how many."""
    from sklearn.metrics import roc_auc_score, roc_curve

    pyplot = _pyplot()
    figure, axes = pyplot.subplots(figsize=(6.5, 5), layout="constrained")
    groups = sorted(folder for folder in work.glob("*") if (folder / "scan" / "scores.parquet").exists())
    for folder in groups:
        scores = read_scores(folder / "scan" / "scores.parquet")
        poisoned = read_manifest(folder / "data" / "poisoned").keys
        truth = [key in poisoned for key in scores.keys]
        values = np.nan_to_num(scores.nll, nan=np.finfo(float).max)
        false_rate, true_rate, _ = roc_curve(truth, values)
        axes.plot(false_rate, true_rate, lw=1.4, label=f"{folder.name} (AUC {roc_auc_score(truth, values):.3f})")
    axes.plot([0, 1], [0, 1], ":", color="gray", lw=1)
    axes.set(xlabel="flagged share of the clean rows", ylabel="flagged share of the poisoned rows", title=title)
    axes.grid(alpha=0.25)
    axes.legend(loc="lower right", fontsize=8, frameon=False)
    figure.savefig(path)
    pyplot.close(figure)
    return len(groups)


def _pyplot() -> Any:
    try:
        import matplotlib
    except ImportError as error:
        raise ConfigError("plots need matplotlib: pip install 'byorn[bench]'") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot
