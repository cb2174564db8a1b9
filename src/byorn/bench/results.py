"""Result files -> one line per task, attack, defense and setting, over its seeds."""

import json
import math
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from byorn.bench.experiment import FLAGGING
from byorn.errors import DataError
from byorn.evaluation.intervals import wilson
from byorn.runs.narrate import say

SWEPT = ("percentile", "ema_decay")


def read_results(folder: Path, slugs: Collection[str] | None = None) -> list[dict[str, Any]]:
    """The results of an experiment.

    Args:
        folder: `results/EXPERIMENT`.
        slugs: The experiment's cells. A file of another name was left by an earlier version of the experiment: it is named and not read.

    Raises:
        DataError: There is none, or a file is broken.
    """
    found = sorted(folder.glob("*.json"))
    paths = [path for path in found if slugs is None or path.stem in slugs]
    for path in found:
        if path not in paths:
            say(f"{path}: no cell of this experiment, left out")
    if not paths:
        raise DataError(f"{folder}: no results; run `byorn bench run {folder.name}` first")
    results = []
    for path in paths:
        try:
            result = json.loads(path.read_text(encoding="utf-8"))
            lines([result])  # whatever a table needs is there
            results += _by_test(result | {"experiment": folder.name})
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise DataError(f"{path}: no result file ({error}); delete it and run the bench again") from error
    return results


def _by_test(result: dict[str, Any]) -> list[dict[str, Any]]:
    """The result, and one more for each further test set, under its name."""
    cell, found = result["cell"], [result]
    for name, judged in (result.get("tests") or {}).items():
        group = {**cell["group"], "task": {**cell["group"]["task"], "name": name}}
        found.append({**result, **judged, "cell": {**cell, "group": group}})
    return found


def lines(results: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """One line per task, attack, defense, rate and setting.

    Returns:
        `utility` is the mean over the seeds, `utility_interval` its 95 % t interval (for one seed: the bootstrap interval over the test
        inputs); `asr` is pooled over seeds and inputs with its Wilson interval; all ASRs are shares in [0, 1], `asr_clean` that on
        all `n_clean` clean inputs whose references do not show the target; `seconds` is scan and
        training, the mean over seeds. `seeds` is their number, `n` the test inputs behind the ASR. Cost: optimizer `steps`; `seconds_scoring` is
        whatever comes before the fine-tune, with `forward_passes` and `fine_tunes` made for it (`byorn.defenses.plan.Cost`); `peak_megabytes` while training.
    """
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for result in results:
        found.setdefault(_key(result), []).append(result)
    return [_line(group) for _, group in sorted(found.items(), key=lambda item: tuple(map(str, item[0])))]


def _key(result: dict[str, Any]) -> tuple[Any, ...]:
    cell, group = result["cell"], result["cell"]["group"]
    return (*_names(result), group["rate"], *(cell[name] for name in SWEPT))


def _names(result: dict[str, Any]) -> tuple[str, str, str]:
    cell, task = result["cell"], result["cell"]["group"]["task"]
    return (task if isinstance(task, str) else task.get("name", "own"), cell["group"]["label"], cell["defense"])


def _line(group: Sequence[dict[str, Any]]) -> dict[str, Any]:
    task, attack, defense = _names(group[0])
    metric, cell = group[0]["metric"], group[0]["cell"]
    asr, asr_interval, n = pooled([result["figures"]["asr"] for result in group])
    clean = pooled([result["figures"]["false_asr"] for result in group])
    return {
        "experiment": group[0].get("experiment", ""),
        "task": task,
        "attack": attack,
        "defense": defense,
        "rate": cell["group"]["rate"],
        **{name: cell[name] for name in SWEPT},
        "seeds": len(group),
        "metric": metric,
        "utility": _defined(result["figures"]["clean"][metric]["value"] for result in group),
        "utility_interval": interval([result["figures"]["clean"][metric] for result in group]),
        "asr": asr,
        "asr_interval": asr_interval,
        "n": n,
        "asr_clean": clean[0],
        "n_clean": clean[2],
        "asr_pretrained": pooled([result["pretrained"]["asr"] for result in group])[0],
        "utility_pretrained": _defined(result["pretrained"]["clean"][metric]["value"] for result in group),
        "utility_triggered": _defined(result["figures"]["triggered"][metric]["value"] for result in group),
        "detection_auc": _mean_of(group, "auc"),
        "detection_recall": _mean_of(group, "recall"),
        "seconds": mean(result["seconds"]["train"] + _scanning(result) for result in _timed(group)),
        **_cost(group),
    }


def _cost(group: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Means over the seeds; memory is the largest."""
    training = [result["training"] for result in _timed(group)]
    return {
        "steps": mean(run["steps"] for run in training),
        "seconds_scoring": mean(run["seconds"]["scoring"] for run in training),
        "seconds_sampling": mean(run["seconds"]["sampling"] for run in training),
        "seconds_training": mean(run["seconds"]["training_without_sampling"] for run in training),
        "forward_passes": mean(run["cost"]["forward_passes"] for run in training),
        "fine_tunes": mean(run["cost"]["fine_tunes"] for run in training),
        "peak_megabytes": max(result["peak_megabytes"]["train"] for result in group),
    }


def _timed(group: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that ran in one piece: a resumed one knows only what came since. All, if there is no other."""
    return [result for result in group if not result.get("resumed")] or list(group)


def _scanning(result: dict[str, Any]) -> float:
    return result["seconds"]["scan"] if result["cell"]["defense"] in FLAGGING else 0.0


def _mean_of(group: Sequence[dict[str, Any]], name: str) -> float | None:
    return _defined(result["detection"][name] for result in group if result["detection"])


def _defined(values: Iterable[float | None]) -> float | None:
    """The mean of those that are defined."""
    found = [value for value in values if value is not None]
    return mean(found) if found else None


def pooled(metrics: Sequence[dict[str, Any]]) -> tuple[float | None, list[float] | None, int]:
    """Shares over several test sets as one: value, 95 % Wilson interval, n. None where every item was excluded."""
    defined = [metric for metric in metrics if metric["value"] is not None]
    n = sum(metric["n"] for metric in defined)
    if not n:
        return None, None, 0
    hits = round(sum(metric["value"] * metric["n"] for metric in defined))
    return hits / n, list(wilson(hits, n, 0.95)), n


def interval(metrics: Sequence[dict[str, Any]]) -> list[float]:
    """95 %: mean +- t * s / sqrt(k) over k seeds; for one seed, that of the run."""
    from scipy.stats import t

    defined = [metric for metric in metrics if metric["value"] is not None] or list(metrics[:1])
    if len(defined) < 2:
        return [defined[0]["low"], defined[0]["high"]]
    values = [metric["value"] for metric in defined]
    half = float(t.ppf(0.975, len(values) - 1)) * stdev(values) / math.sqrt(len(values))
    return [mean(values) - half, mean(values) + half]
