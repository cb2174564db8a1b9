"""Result files -> one line per task, attack, defense and setting, over its seeds."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from byorn.bench.result import CellResult
from byorn.bench.settled import differences
from byorn.bench.spec import Cell
from byorn.errors import DataError
from byorn.evaluation.intervals import wilson
from byorn.evaluation.metric import Metric
from byorn.pipeline.settings.defenses import FLAGGING, SAMPLING
from byorn.runs.narrate import say


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a table: the cells that differ in their seed alone. None: undefined, or not measured.

    Attributes:
        experiment, task, attack, defense, rate, percentile, ema_decay: Which cells; without a decay, those whose
            training chose it by its length.
        seeds: Their number.
        metric: The utility metric.
        utility: The mean over the seeds, in the unit of the metric.
        utility_interval: Its 95 % t interval; for one seed, the bootstrap interval over the test inputs.
        asr: Pooled over seeds and inputs, a share in [0, 1] like the other ASRs.
        asr_interval: Its 95 % Wilson interval.
        n: Test inputs behind it.
        asr_clean: The same on all `n_clean` clean inputs whose references do not show the target.
        asr_pretrained, utility_pretrained: Of the model before training.
        utility_triggered: On triggered inputs.
        detection_auc, detection_recall: Of the defense's own score and flags.
        seconds: Of scan and training, the mean over seeds.
        steps: Of the optimizer.
        seconds_scoring: Whatever comes before the fine-tune.
        seconds_sampling, seconds_training: Of the fine-tune; the second is without the first.
        forward_passes, fine_tunes: Made for it beforehand, see `byorn.defenses.plan.Cost`.
        peak_megabytes: While training, the largest.
    """

    experiment: str
    task: str
    attack: str
    defense: str
    rate: float
    percentile: float
    ema_decay: float | None
    seeds: int
    metric: str
    utility: float | None
    utility_interval: list[float | None]
    asr: float | None
    asr_interval: list[float] | None
    n: int
    asr_clean: float | None
    n_clean: int
    asr_pretrained: float | None
    utility_pretrained: float | None
    utility_triggered: float | None
    detection_auc: float | None
    detection_recall: float | None
    seconds: float
    steps: float
    seconds_scoring: float
    seconds_sampling: float
    seconds_training: float
    forward_passes: float
    fine_tunes: float
    peak_megabytes: float


def read_results(folder: Path, cells: Mapping[str, Cell] | None = None) -> list[CellResult]:
    """The results of an experiment.

    Args:
        folder: `results/EXPERIMENT`.
        cells: The experiment's, by slug. A file of another name, or made with other settings, was left by an earlier
            version of the experiment: it is named and left out.

    Raises:
        DataError: There is none, or a file is broken.
    """
    found = sorted(folder.glob("*.json"))
    results = [result for path in found for result in _read_result(path, cells)]
    if not results:
        raise DataError(f"{folder}: no results; run `byorn bench run {folder.name}` first")
    return results


def _read_result(path: Path, cells: Mapping[str, Cell] | None) -> list[CellResult]:
    """The result of a file, by test set; none where it is of another experiment than `cells`."""
    if cells is not None and path.stem not in cells:
        say(f"{path}: no cell of this experiment, left out")
        return []
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        result = CellResult.from_dict(content, path.parent.name)
        lines([result])  # whatever a table needs is there
        changed = differences(content["cell"], cells[path.stem]) if cells else []
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise DataError(f"{path}: no result file ({error}); delete it and run the bench again") from error
    if changed:
        say(f"{path}: {changed[0]}, left out")
        return []
    return result.by_test()


def lines(results: Iterable[CellResult]) -> list[Line]:
    """One line per task, attack, defense, rate and setting, in the order of these."""
    found: dict[tuple[str | float | None, ...], list[CellResult]] = {}
    for result in results:
        found.setdefault(_key(result), []).append(result)
    return [_line(group) for _, group in sorted(found.items(), key=lambda item: tuple(map(str, item[0])))]


def _key(result: CellResult) -> tuple[str | float | None, ...]:
    cell = result.cell
    read = cell.defense in FLAGGING, cell.defense in SAMPLING  # others may have been run with any
    settings = (value if reads else None for value, reads in zip((cell.percentile, cell.ema_decay), read, strict=True))
    return (result.task, cell.group.label, cell.label, cell.group.rate, *settings)


def _line(group: Sequence[CellResult]) -> Line:
    first = group[0]
    metric = group[0].metric
    asr, asr_interval, n = pooled([result.figures.asr for result in group])
    asr_clean, _, n_clean = pooled([result.figures.false_asr for result in group])
    training = [result.training for result in _timed(group)]
    return Line(
        experiment=first.experiment,
        task=first.task,
        attack=first.cell.group.label,
        defense=first.cell.label,
        rate=first.cell.group.rate,
        percentile=first.cell.percentile,
        ema_decay=first.cell.ema_decay,
        seeds=len(group),
        metric=metric,
        utility=_defined(result.figures.clean[metric].defined for result in group),
        utility_interval=interval([result.figures.clean[metric] for result in group]),
        asr=asr,
        asr_interval=asr_interval,
        n=n,
        asr_clean=asr_clean,
        n_clean=n_clean,
        asr_pretrained=pooled([result.judged.pretrained.asr for result in group])[0],
        utility_pretrained=_defined(result.judged.pretrained.clean[metric].defined for result in group),
        utility_triggered=_defined(result.figures.triggered[metric].defined for result in group),
        detection_auc=_defined(result.detection.auc for result in group if result.detection),
        detection_recall=_defined(result.detection.recall for result in group if result.detection),
        seconds=mean(result.seconds["train"] + _scanning(result) for result in _timed(group)),
        steps=mean(run["steps"] for run in training),
        seconds_scoring=mean(run["seconds"]["scoring"] for run in training),
        seconds_sampling=mean(run["seconds"]["sampling"] for run in training),
        seconds_training=mean(run["seconds"]["training_without_sampling"] for run in training),
        forward_passes=mean(run["cost"]["forward_passes"] for run in training),
        fine_tunes=mean(run["cost"]["fine_tunes"] for run in training),
        peak_megabytes=max(result.peak_megabytes["train"] for result in group),
    )


def _timed(group: Sequence[CellResult]) -> list[CellResult]:
    """Those that ran in one piece: a resumed one knows only what came since. All, if there is no other."""
    return [result for result in group if not result.resumed] or list(group)


def _scanning(result: CellResult) -> float:
    """The phase `scan` is that of the paper's rule, whatever a cell flags by."""
    if result.cell.defense not in FLAGGING:
        return 0.0
    seconds = result.training["seconds"]["scoring"] if result.cell.rule else result.seconds["scan"]
    return float(seconds)


def _defined(values: Iterable[float | None]) -> float | None:
    """The mean of those that are defined."""
    found = [value for value in values if value is not None]
    return mean(found) if found else None


def pooled(metrics: Sequence[Metric | None]) -> tuple[float | None, list[float] | None, int]:
    """Shares over several test sets as one: value, 95 % Wilson interval, n. None where every item was excluded."""
    defined = [metric for metric in metrics if metric is not None and metric.defined is not None]
    n = sum(metric.n for metric in defined)
    if not n:
        return None, None, 0
    hits = round(sum(metric.value * metric.n for metric in defined))
    return hits / n, list(wilson(hits, n, 0.95)), n


def interval(metrics: Sequence[Metric]) -> list[float | None]:
    """95 %: mean +- t * s / sqrt(k) over k seeds; for one seed, that of the run. None where it is undefined."""
    from scipy.stats import t

    defined = [metric for metric in metrics if metric.defined is not None] or list(metrics[:1])
    if len(defined) < 2:
        return [None if math.isnan(end) else end for end in (defined[0].low, defined[0].high)]
    values = [metric.value for metric in defined]
    half = float(t.ppf(0.975, len(values) - 1)) * stdev(values) / math.sqrt(len(values))
    return [mean(values) - half, mean(values) + half]
