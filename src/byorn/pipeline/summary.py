"""`training.json`: what really ran, with its numbers."""

import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from byorn.defenses.plan import Plan
from byorn.runs.folder import read_json

if TYPE_CHECKING:
    from byorn.training.trainer import ByornTrainer


@dataclass(frozen=True, kw_only=True)
class TrainingSummary:
    """What a training did.

    Attributes:
        defense: Its name.
        data: Fingerprint of all the rows.
        rows, learned: Rows of the data set without those held out for evaluation, and those that were trained on.
        flagged: Rows whose response was not used, after review.
        rule, threshold: The rule as it was used, and the score in nats a token above which it flags, if it has one.
        reviews: How many rows a person decided to keep, replace or drop.
        decided: A digest of which rows these are; empty where nobody decided, or an older byorn wrote the file.
        steps, epochs: Optimizer steps and passes over the data.
        final_loss: The last one that was logged.
        responses: Responses sampled (`replaced`), and how many of them were `empty` or `truncated`; over all processes.
        seconds: Wall-clock for `scoring`, `sampling`, `training` (sampling included) and `training_without_sampling`.
        cost: What the defense spent before training, see `Cost`.
        found: What the defense has to say about itself, and the trainer, see `facts_of`.
        arguments: The resolved training arguments that matter to the result.
    """

    defense: str
    data: str
    rows: int
    learned: int
    flagged: int
    rule: str
    threshold: float | None
    reviews: dict[str, int]
    steps: int
    epochs: float | None
    final_loss: float | None
    responses: dict[str, int]
    seconds: dict[str, float]
    cost: dict[str, float]
    found: dict[str, object]
    arguments: dict[str, object]
    decided: str = ""

    def as_dict(self) -> dict[str, object]:
        """As it stands in `training.json`."""
        return asdict(self)

    @classmethod
    def read(cls, path: Path) -> "TrainingSummary | None":
        """From `training.json`; None where it is missing or damaged."""
        content = read_json(path) or {}
        names = {field.name for field in fields(cls)}
        held = {name: content[name] for name in names & content.keys()}
        return cls(**held) if held.keys() >= names - {"decided"} else None


def summarize(trainer: "ByornTrainer", plan: Plan, *, defense: str, data: str, rows: int) -> TrainingSummary:
    """What a trained trainer did; `data` and `rows` are fingerprint and size of the data set."""
    from byorn.training.card import facts_of

    facts = facts_of(trainer)
    spent = {**facts["seconds"], "scoring": plan.cost.seconds}
    threshold = plan.flags.threshold
    of_plan = {
        "defense": defense,
        "data": data,
        "rows": rows,
        "threshold": threshold if math.isfinite(threshold) else None,
        "decided": plan.flags.decided,
        "seconds": {**spent, "training_without_sampling": spent["training"] - spent["sampling"]},
        "cost": asdict(plan.cost),
        "found": {**plan.found, **facts["found"]},
    }
    return TrainingSummary(**{**facts, **of_plan})
