"""`simulation.json`: what a scan sees of attacks that were planted in a copy of its own rows (see `byorn simulate`).

`simulation.schema.json` describes it; `version` counts up when a field changes its meaning or goes away.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from byorn.evaluation.canaries import Sight
from byorn.evaluation.repeats import Share
from byorn.flagging.table import Flags
from byorn.phrases.groups import LEAST_ROWS
from byorn.report.words import number, percent, shared
from byorn.runs.folder import read_json
from byorn.scoring.table import Scores

VERSION = 1
FOLDER = "simulation"
FILE = "simulation.json"
NAMED = 0.5
"""Share of the planted rows that a report must name for an attack to count as seen."""
Seen = Literal["seen", "already there", "flagged", "unseen", "not planted"]


@dataclass(frozen=True, kw_only=True)
class Named:
    """What the report of a scan would say of planted rows.

    Attributes:
        planted, others: Rows in groups that are planted for the most part, and in all other groups.
        phrase: By which the largest of the former stands out, or nothing.
        joined: Planted rows in the one of the latter that has the most of them.
        own, own_phrase: How many rows of the data itself are in that group, and by what it stands out.
    """

    planted: int
    others: int
    phrase: str
    joined: int = 0
    own: int = 0
    own_phrase: str = ""


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """One attack.

    Attributes:
        name: `TRIGGER:OBJECTIVE[:TARGET]`.
        target: What the attacker wants said.
        folder: With the planted rows and their manifest, inside the simulation.
        lost: Planted rows that the model could not take, and are not counted.
        threshold: Of the scan's rule on the rows with the planted ones among them; in its unit.
        sight, named: What scores and flags say, and what a report would; None where nothing was planted.
        reason: Why nothing was planted, or nothing.
    """

    name: str
    target: str = ""
    folder: str = ""
    lost: int = 0
    threshold: float | None = None
    sight: Sight | None = None
    named: Named | None = None
    reason: str = ""

    @property
    def seen(self) -> Seen:
        """Whether a report names the rows, the data say the same anyway, or the rule flags them more than others."""
        if self.sight is None or self.named is None:
            return "not planted"
        if self.named.planted >= NAMED * self.sight.flagged.n:
            return "seen"
        if self.named.joined >= NAMED * self.sight.flagged.n:
            return "already there"
        return "unseen" if self.sight.by_chance else "flagged"

    @property
    def hidden(self) -> bool:
        """Whether it was planted and a report does not name it."""
        return self.seen in ("flagged", "unseen")

    @property
    def recall(self) -> str:
        """How many of the planted rows are flagged, in a few words; nothing where none was planted."""
        return "" if self.sight is None else str(self.sight.flagged)

    @property
    def sentence(self) -> str:
        """What the scan can and cannot see, for people."""
        if self.sight is None or self.named is None:
            return f"{self.name} was not planted: {self.reason}."
        flagged = self.sight.flagged
        others = percent(self.sight.false_flags.hits / max(1, self.sight.false_flags.n))
        said = f"{self.name}: {number(flagged.hits)} of {number(flagged.n)} planted rows are flagged"
        if self.seen == "seen":
            return (
                f"{said}, and the report names {number(self.named.planted)} of them, by {shared(self.named.phrase)}: "
                "it would not stay hidden."
            )
        if self.seen == "already there":
            return (
                f"{said}, and {number(self.named.joined)} of them are in a group with {number(self.named.own)} rows of "
                f"the data itself, by {shared(self.named.own_phrase)}: the data say that already; plant something else "
                "to learn what the scan sees."
            )
        if self.seen == "flagged":
            names = number(self.named.planted) if self.named.planted else "none"
            return (
                f"{said}, against {others} of the others, but the report names {names} of them: a defense would not "
                "learn those that are flagged, and a clean verdict says nothing about it."
            )
        more = f" A phrase in fewer than {LEAST_ROWS} rows is not looked at: plant more of them (--rate)."
        few = more if flagged.n < LEAST_ROWS else ""
        told = "too few rows to tell them from" if self.sight.undecided else "no more often than"
        return f"{said}, {told} the {others} of the others: a clean verdict says nothing about it.{few}"


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """All attacks that were planted in the rows of a scan, one at a time.

    Attributes:
        scan: What it is about: `data`, `model`, `model_digest`, `processor_digest`, `rule`.
        rows: Of the scan.
        rate: Share of them that each attack was to poison.
        seed: Of all choices.
        attacks: In the order in which they were asked for.
    """

    scan: dict[str, str]
    rows: int
    rate: float
    seed: int
    attacks: list[Simulated]

    def as_dict(self) -> dict[str, object]:
        """As it stands in `simulation.json`."""
        attacks = [{**asdict(one), "seen": one.seen, "sentence": one.sentence} for one in self.attacks]
        return {"version": VERSION, **asdict(self), "attacks": attacks}


def identity_of(scores: Scores, flags: Flags) -> dict[str, str]:
    """What a simulation belongs to."""
    names = ("data", "model", "model_digest", "processor_digest")
    return {**{name: scores.metadata.get(name, "") for name in names}, "rule": flags.rule}


def read_simulation(folder: Path, scores: Scores, flags: Flags) -> Simulation | None:
    """The simulation in the folder of a scan; None where there is none, or it is damaged or of an earlier scan."""
    content = read_json(folder / FOLDER / FILE) or {}
    if content.get("version") != VERSION or content.get("scan") != identity_of(scores, flags):
        return None
    try:
        attacks = [_simulated(one) for one in content["attacks"]]
        values = {name: content[name] for name in ("scan", "rows", "rate", "seed")}
        return Simulation(**values, attacks=attacks)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _simulated(content: Mapping[str, Any]) -> Simulated:
    values = {item.name: content[item.name] for item in fields(Simulated)}
    if values["sight"] is not None:
        values["sight"] = _sight(values["sight"])
        values["named"] = Named(**values["named"])
    return Simulated(**values)


def _sight(content: Mapping[str, Any]) -> Sight:
    low, high = content["auc_interval"]
    return Sight(
        flagged=_share(content["flagged"]),
        false_flags=_share(content["false_flags"]),
        p_value=float(content["p_value"]),
        auc=float(content["auc"]),
        auc_interval=(float(low), float(high)),
        percentiles=[float(place) for place in content["percentiles"]],
    )


def _share(content: Mapping[str, Any]) -> Share:
    low, high = content["interval"]
    return Share(hits=int(content["hits"]), n=int(content["n"]), interval=(float(low), float(high)))
