"""What came of a cell; it is JSON only in its result file, whose layout is `as_dict`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from byorn.bench.settled import plain
from byorn.bench.spec import AttackEntry, Cell, Group
from byorn.evaluation.detection import Detection
from byorn.evaluation.result import Evaluation

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Kind = TypeVar("Kind", bound="DataclassInstance")
Record = Mapping[str, Any]
"""What a JSON file holds, which nobody has checked yet."""


class Curve(TypedDict):
    """A ROC curve: shares in [0, 1], see `byorn.evaluation.detection.roc`."""

    false: list[float]
    true: list[float]


class Training(TypedDict):
    """What the tables read of a run's `training.json`; the rest of it is kept beside.

    Attributes:
        steps: Of the optimizer.
        seconds: By part: `scoring`, `sampling`, `training_without_sampling`.
        cost: `forward_passes` and `fine_tunes` that the defense needs beyond the fine-tune.
    """

    steps: int
    seconds: dict[str, float]
    cost: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Figures on one test set: of the cell's model, and of the model before training."""

    figures: Evaluation
    pretrained: Evaluation


@dataclass(frozen=True, kw_only=True)
class CellResult:
    """What came of a cell.

    Attributes:
        cell: What was run.
        metric: The utility metric of its task.
        judged: On the task's own test set.
        tests: On further ones, by name.
        detection: What the defense's flags found; None for a defense without flags.
        roc: The curve of its score.
        training: Of the fine-tune.
        seconds: By phase.
        peak_megabytes: By phase.
        versions: Of Python and the libraries.
        resumed: Whether an earlier, killed run was continued; `seconds` are then those since.
        source: Digest of byorn's own files.
        plugins: Digests of the user's, by name.
        experiment: What it is part of; the name of its file's folder.
    """

    cell: Cell
    metric: str
    judged: Judged
    tests: Mapping[str, Judged] = field(default_factory=dict)
    detection: Detection | None = None
    roc: Curve | None = None
    training: Training
    seconds: Mapping[str, float]
    peak_megabytes: Mapping[str, float]
    versions: Mapping[str, str]
    resumed: bool = False
    source: str = ""
    plugins: Mapping[str, str] = field(default_factory=dict)
    experiment: str = ""

    @property
    def figures(self) -> Evaluation:
        """Of the cell's model on the task's own test set."""
        return self.judged.figures

    @property
    def task(self) -> str:
        """What tables call its task."""
        task = self.cell.group.task
        return task if isinstance(task, str) else str(task.get("name", "own"))

    def by_test(self) -> list["CellResult"]:
        """This result, and one more for each further test set, whose task has the name of the set."""
        found = [self]
        group = self.cell.group
        for name, judged in self.tests.items():
            named = replace(self.cell, group=replace(group, task={**_mapping(group.task), "name": name}))
            found.append(replace(self, cell=named, judged=judged, tests={}))
        return found

    def as_dict(self) -> dict[str, object]:
        """The content of the result file."""
        detection = {**asdict(self.detection), "roc": self.roc} if self.detection else None
        return {
            "cell": plain(self.cell),
            "metric": self.metric,
            **_as_dict(self.judged),
            "tests": {name: _as_dict(judged) for name, judged in self.tests.items()},
            "detection": detection,
            "training": self.training,
            "seconds": dict(self.seconds),
            "peak_megabytes": dict(self.peak_megabytes),
            "versions": dict(self.versions),
            "resumed": self.resumed,
            "source": self.source,
            "plugins": dict(self.plugins),
        }

    @classmethod
    def from_dict(cls, content: Record, experiment: str = "") -> "CellResult":
        """Read a result file; what an earlier version did not write yet has its default.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: It is no result.
        """
        cell = content["cell"]
        group = content["cell"]["group"]
        found = content["detection"]
        group = _take(Group, {**group, "attack": _take(AttackEntry, group["attack"])})
        later = {key: content[key] for key in ("resumed", "source", "plugins") if key in content}
        return cls(
            cell=_take(Cell, {**cell, "group": group}),
            metric=content["metric"],
            judged=_judged(content),
            tests={name: _judged(judged) for name, judged in (content.get("tests") or {}).items()},
            detection=_take(Detection, found) if found else None,
            roc=found.get("roc") if found else None,
            training=content["training"],
            seconds=content["seconds"],
            peak_megabytes=content["peak_megabytes"],
            versions=content["versions"],
            experiment=experiment,
            **later,
        )


def _take(kind: "type[Kind]", content: Record) -> "Kind":
    """The fields of a dataclass out of a record that may hold more."""
    names = {item.name for item in fields(kind)}
    return kind(**{key: value for key, value in content.items() if key in names})


def _as_dict(judged: Judged) -> dict[str, object]:
    return {"figures": judged.figures.as_dict(), "pretrained": judged.pretrained.as_dict()}


def _judged(content: Record) -> Judged:
    return Judged(
        figures=Evaluation.from_dict(content["figures"]), pretrained=Evaluation.from_dict(content["pretrained"])
    )


def _mapping(task: "str | Mapping[str, object]") -> Mapping[str, object]:
    return {} if isinstance(task, str) else task
