"""One cell of an experiment: a poisoned data set, a defense, a fine-tune, and what came of it."""

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from byorn.attacks.manifest import read_manifest
from byorn.bench.experiment import FLAGGING, Cell, Group, plain
from byorn.bench.memory import peak_megabytes, reset_peak
from byorn.bench.tasks import load_task
from byorn.evaluation.detection import detection, roc
from byorn.flagging.table import read_flags
from byorn.pipeline.compare import Comparison, judge, plant, training_data
from byorn.pipeline.evaluate import check_metrics
from byorn.pipeline.scan import scan
from byorn.pipeline.train import TrainSpec, train
from byorn.runs.folder import source_digest, versions, write_json
from byorn.scoring.table import read_scores

READY = "group.json"
BEGUN, TRAINED = "cell.json", "training.json"


@dataclass
class Cost:
    """Seconds and peak memory by phase."""

    seconds: dict[str, float] = field(default_factory=dict)
    peak_megabytes: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        reset_peak()
        began = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - began, 3)
        self.peak_megabytes[name] = round(peak_megabytes(), 1)


def prepare(group: Group, folder: Path, plugins: Mapping[str, str] = {}) -> dict[str, Any]:
    """Data, scores and the pretrained model's own figures of a group, once: `folder/group.json` says that it is done.

    `plugins` is what `load_plugins` returned; a file of the user's that has changed may make other data, and so may another byorn.
    """
    ready = folder / READY
    settings = {"group": plain(group), "plugins": dict(plugins), "source": source_digest()}
    if ready.exists():
        found = json.loads(ready.read_text(encoding="utf-8"))
        if all(found.get(key) == value for key, value in settings.items()):
            return found
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    cost = Cost()
    task = load_task(group.task, group.rows, group.test_rows, group.seed, folder / "drawn")
    check_metrics([task.metric])
    spec = comparison(group, task.metric, task.max_new_tokens)
    with cost.phase("poison"):
        plant(spec, task.train, task.test, folder / "data")
    with cost.phase("scan"):
        scan(training_data(folder, "poisoned"), spec.pretrained, folder / "scan", batch_size=spec.batch_size)
    with cost.phase("evaluate"):
        pretrained = judge(spec, folder, "pretrained")
    shared = {
        **settings,
        "metric": task.metric,
        "max_new_tokens": task.max_new_tokens,
        "pretrained": pretrained,
        "seconds": cost.seconds,
        "peak_megabytes": cost.peak_megabytes,
    }
    write_json(ready, shared)
    return shared


def comparison(group: Group, metric: str, max_new_tokens: int) -> Comparison:
    attack = group.attack
    return Comparison(
        seed=group.seed, attack=attack.attack, target=attack.target, objective=attack.objective, rate=group.rate, source=attack.source,
        selection=attack.selection or "random",
        attack_options=dict(attack.options), convention=attack.convention, metrics=(metric, "exact_match"), model=group.model,
        max_new_tokens=max_new_tokens, dtype=group.dtype or "auto", batch_size=group.batch_size or 50,
    )  # fmt: skip


def run_cell(cell: Cell, shared: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Fine-tune and judge; returns the content of the result file.

    A cell that was killed goes on as `byorn train` does: from its last checkpoint, if `arguments` has it save some (`save_strategy: steps`), also one of
    a defense's own fine-tune. Its seconds are then those since, and `resumed` is true.
    """
    spec, cost = comparison(cell.group, shared["metric"], shared["max_new_tokens"]), Cost()
    out = folder / cell.slug
    resumed = goes_on(out, {"cell": plain(cell), "source": shared["source"], "plugins": shared["plugins"]})
    if cell.defense in FLAGGING:
        shutil.copy(folder / "scan" / "scores.parquet", out)
    with cost.phase("train"):
        if not (out / TRAINED).exists():  # a resumed Trainer that has made its last step makes one more
            train(training_data(folder, "poisoned"), spec.pretrained, out, train_spec(cell, spec, folder))
    training = json.loads((out / TRAINED).read_text(encoding="utf-8"))
    with cost.phase("evaluate"):
        results = judge(spec, folder, cell.slug)
    return {
        "cell": plain(cell),
        "metric": shared["metric"],
        "figures": results,
        "pretrained": shared["pretrained"],
        "detection": detected(cell, folder),
        "training": {key: value for key, value in training.items() if key != "log"},
        "seconds": {**shared["seconds"], **cost.seconds},
        "peak_megabytes": {**shared["peak_megabytes"], **cost.peak_megabytes},
        "versions": versions(),
        "resumed": resumed,
        "source": shared["source"],
        "plugins": shared["plugins"],
    }


def goes_on(out: Path, settings: dict[str, Any]) -> bool:
    """Whether `out` holds checkpoints, or the adapter, of the same cell; what another one left is thrown away."""
    begun, settings = out / BEGUN, {**settings, "folder": str(out)}  # which `config.yaml` repeats as it is spelled
    if begun.exists() and json.loads(begun.read_text(encoding="utf-8")) == settings:
        return (out / TRAINED).exists() or any(out.rglob("trainer_state.json"))
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    write_json(begun, settings)
    return False


def close(out: Path) -> None:
    """The result is written: checkpoints go, and whoever deletes the result runs the cell anew."""
    (out / BEGUN).unlink()
    for checkpoints in list(out.rglob("checkpoints")):
        shutil.rmtree(checkpoints)


def train_spec(cell: Cell, spec: Comparison, folder: Path) -> TrainSpec:
    """The same budget for every defense; the oracle alone is told who is poisoned."""
    arguments = {"seed": cell.group.seed, "save_strategy": "no", "ema_decay": cell.ema_decay, **cell.arguments}
    options = dict(cell.options)
    if cell.defense == "oracle":
        options["manifest"] = str(folder / "data" / "poisoned")
    return TrainSpec(
        cell.defense, cell.percentile, spec.batch_size, cell.lora_rank, lora_targets=cell.lora_targets, defense_options=options,
        arguments=arguments,
    )  # fmt: skip


def detected(cell: Cell, folder: Path) -> dict[str, Any] | None:
    """What the defense's own flags found: recall, and AUC and ROC curve of the score or, without one, of the flags' weight."""
    out = folder / cell.slug
    if cell.defense == "oracle" or not (out / "flags.parquet").exists():
        return None
    scores = read_scores(out / "scores.parquet") if (out / "scores.parquet").exists() else None
    judged = (scores, read_flags(out / "flags.parquet"), read_manifest(folder / "data" / "poisoned").keys)
    return {**detection(*judged), "roc": roc(*judged)}
