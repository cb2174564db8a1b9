"""One cell of an experiment: a poisoned data set, a defense, a fine-tune, and what came of it."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict, cast

from byorn.attacks.manifest import poisoned_keys
from byorn.bench.group import Setup, judge, plant, poisoned_data, setup_of
from byorn.bench.result import CellResult, Curve, Judged, Training
from byorn.bench.settled import plain
from byorn.bench.spec import Cell, Group
from byorn.bench.tasks import load_task
from byorn.evaluation.detection import Detection, detection, roc
from byorn.evaluation.result import Evaluation
from byorn.flagging.settings import FlagSettings
from byorn.flagging.table import FLAGS, read_flags
from byorn.models.spec import LoraSpec
from byorn.pipeline.evaluate import check_metrics
from byorn.pipeline.reuse import NONE
from byorn.pipeline.scan import scan
from byorn.pipeline.settings.defenses import FLAGGING
from byorn.pipeline.settings.train import TrainSpec
from byorn.pipeline.train import train
from byorn.runs.folder import read_json, source_digest, versions, write_json
from byorn.runs.timer import Timer
from byorn.scoring.statistics import EVIDENCE
from byorn.scoring.table import SCORES, read_scores

READY = "group.json"
BEGUN = "cell.json"
TRAINED = "training.json"
PAPER = {"rule": "paper", "max_flagged_share": 1.0, "keep_insertions": True}
"""The paper's rule, every flagged row at every epoch, and answered as it asks."""


class Shared(TypedDict):
    """What the cells of a group share, as `group.json` has it.

    Attributes:
        group: `plain` of the group.
        plugins: Digests of the user's files.
        source: Digest of byorn's own.
        metric: The utility metric of the task.
        max_new_tokens: Longest evaluated response.
        pretrained: Figures of the model before training.
        pretrained_on: The same on further test sets, by name.
        seconds, peak_megabytes: By phase.
    """

    group: dict[str, object]
    plugins: dict[str, str]
    source: str
    metric: str
    max_new_tokens: int
    pretrained: dict[str, object]
    pretrained_on: dict[str, dict[str, object]]
    seconds: dict[str, float]
    peak_megabytes: dict[str, float]


def prepare(group: Group, folder: Path, plugins: Mapping[str, str] = {}) -> Shared:
    """Data, scores and the pretrained model's own figures of a group, once: `folder/group.json` says that it is done.

    `plugins` is what `load_plugins` returned; a file of the user's that has changed may make other data, and so may
    another byorn.
    """
    ready = folder / READY
    settings: dict[str, object] = {"group": plain(group), "plugins": dict(plugins), "source": source_digest()}
    found = read_json(ready) or {}
    if all(found.get(key) == value for key, value in settings.items()):
        return cast(Shared, found)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    timer = Timer()
    task = load_task(group.task, group.rows, group.test_rows, group.seed, folder / "drawn")
    check_metrics([task.metric])
    setup = setup_of(group, task.metric, task.max_new_tokens)
    with timer.phase("poison"):
        plant(setup, task, folder / "data")
    with timer.phase("scan"):
        scan(poisoned_data(folder), setup.model, folder / "scan", _paper(setup))
    with timer.phase("evaluate"):
        pretrained = judge(setup, folder, "pretrained").as_dict()
        more = {name: judge(setup, folder, "pretrained", name).as_dict() for name in task.more_tests}
    shared: Shared = {
        "group": plain(group),
        "plugins": dict(plugins),
        "source": source_digest(),
        "metric": task.metric,
        "max_new_tokens": task.max_new_tokens,
        "pretrained": pretrained,
        "pretrained_on": more,
        "seconds": timer.seconds,
        "peak_megabytes": timer.peak_megabytes,
    }
    write_json(ready, shared)
    return shared


def run_cell(cell: Cell, shared: Shared, folder: Path) -> CellResult:
    """Fine-tune and judge.

    A cell that was killed goes on as `byorn train` does: from its last checkpoint, if `arguments` has it save some
    (`save_strategy: steps`), also one of a defense's own fine-tune. Its seconds are then those since, and `resumed` is
    true.
    """
    setup = setup_of(cell.group, shared["metric"], shared["max_new_tokens"])
    timer = Timer()
    out = folder / cell.slug
    resumed = goes_on(out, {"cell": plain(cell), "source": shared["source"], "plugins": shared["plugins"]})
    if cell.rule:  # once for all cells of the group
        scan(poisoned_data(folder), setup.model, folder / "scan", FlagSettings(score_batch_size=setup.batch_size))
    if cell.defense in FLAGGING:
        shutil.copy(folder / "scan" / SCORES, out)
    with timer.phase("train"):
        train(poisoned_data(folder), setup.model, out, train_spec(cell, setup, folder))
    training = _training(read_json(out / TRAINED) or {})
    with timer.phase("evaluate"):
        judged = _judge_both(setup, folder, cell, shared["pretrained"])
        more = {name: _judge_both(setup, folder, cell, base, name) for name, base in shared["pretrained_on"].items()}
    found, curve = detected(cell, folder)
    return CellResult(
        cell=cell,
        metric=shared["metric"],
        judged=judged,
        tests=more,
        detection=found,
        roc=curve,
        training=training,
        seconds={**shared["seconds"], **timer.seconds},
        peak_megabytes={**shared["peak_megabytes"], **timer.peak_megabytes},
        versions=versions(),
        resumed=resumed,
        source=shared["source"],
        plugins=shared["plugins"],
    )


def _paper(setup: Setup) -> FlagSettings:
    return FlagSettings(rule="paper", score_batch_size=setup.batch_size)


def _training(content: Mapping[str, object]) -> Training:
    """What a run says of itself, without its long log."""
    return cast(Training, {key: value for key, value in content.items() if key != "log"})


def _judge_both(setup: Setup, folder: Path, cell: Cell, pretrained: dict[str, object], test: str = "") -> Judged:
    figures = judge(setup, folder, cell.slug, test)
    return Judged(figures=figures, pretrained=Evaluation.from_dict(pretrained))


def goes_on(out: Path, settings: Mapping[str, object]) -> bool:
    """Whether `out` holds checkpoints, or the adapter, of the same cell; what another one left is thrown away."""
    begun = out / BEGUN
    settings = {**settings, "folder": str(out)}  # which `config.yaml` repeats as it is spelled
    if read_json(begun) == settings:
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


def train_spec(cell: Cell, setup: Setup, folder: Path) -> TrainSpec:
    """The same budget for every defense; the oracle alone is given the manifest."""
    arguments = {
        "seed": cell.group.seed,
        "save_strategy": "no",
        "ema_decay": cell.ema_decay,
        **({"rule": cell.rule} if cell.rule else {**PAPER, "percentile": cell.percentile}),
        "score_batch_size": setup.batch_size,
        **cell.arguments,
    }
    lora = LoraSpec(rank=cell.lora_rank, targets=cell.lora_targets)
    options = options_of(cell, folder)
    return TrainSpec(defense=cell.defense, defense_options=options, scan=NONE, lora=lora, arguments=arguments)


def options_of(cell: Cell, folder: Path) -> dict[str, object]:
    """The options of a cell's defense, with the manifest of the data in the group's folder for the oracle."""
    manifest = {"manifest": str(folder / "data" / "poisoned")} if cell.defense == "oracle" else {}
    return {**cell.options, **manifest}


def detected(cell: Cell, folder: Path) -> tuple[Detection, Curve] | tuple[None, None]:
    """Recall of the defense's own flags, AUC and ROC curve of its score or, without one, of the flags' weight; None
    without flags, and where all rows are clean or all are poisoned.
    """
    out = folder / cell.slug
    if cell.defense == "oracle" or not (out / FLAGS).exists():
        return None, None
    scores = read_scores(out / SCORES) if (out / SCORES).exists() else None
    flags = read_flags(out / FLAGS)
    truth = poisoned_keys(folder / "data" / "poisoned")
    if len({key in truth for key in flags.keys}) < 2:
        return None, None
    statistic = EVIDENCE if cell.rule else str(cell.arguments.get("statistic", FlagSettings.statistic))
    curve = roc(scores, flags, truth, statistic)
    return detection(scores, flags, truth, statistic), Curve(false=curve["false"], true=curve["true"])
