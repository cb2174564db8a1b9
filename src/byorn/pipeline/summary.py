"""`training.json`: what really ran, with its numbers."""

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from byorn.defenses.plan import Plan

if TYPE_CHECKING:
    from byorn.training.trainer import ByornTrainer


@dataclass(frozen=True, kw_only=True)
class TrainingSummary:
    """What a training did.

    Attributes:
        defense: Its name.
        rows, learned: Rows of the data set without those held out for evaluation, and those that were trained on.
        flagged: Rows whose response was not used, after review.
        rule, threshold: The rule as it was used, and the score in nats a token above which it flags, if it has one.
        reviews: How many rows a person decided to keep, replace or drop.
        steps, epochs: Optimizer steps and passes over the data.
        final_loss: The last one that was logged.
        responses: Responses sampled (`replaced`), and how many of them were `empty` or `truncated`; over all processes.
        seconds: Wall-clock for `scoring`, `sampling`, `training` (sampling included) and `training_without_sampling`.
        cost: What the defense spent before training, see `Cost`.
        found: What the defense has to say about itself.
        arguments: The resolved training arguments that matter to the result.
    """

    defense: str
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

    def as_dict(self) -> dict[str, object]:
        """As it stands in `training.json`."""
        return asdict(self)


def summarize(trainer: "ByornTrainer", plan: Plan, *, defense: str, rows: int, seconds: float) -> TrainingSummary:
    """What a trained trainer did; `seconds` is what its training took, `rows` the size of the data set."""
    from byorn.training.card import REPORTED, of_all_processes

    sampling = trainer.seconds["sampling"]
    flags = plan.flags
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    spent = {"scoring": plan.cost.seconds, "sampling": sampling, "training": seconds}
    return TrainingSummary(
        defense=defense,
        rows=rows,
        learned=len(trainer.train_dataset),
        flagged=int(flags.replaced.sum()),
        rule=flags.rule,
        threshold=flags.threshold if math.isfinite(flags.threshold) else None,
        reviews=asdict(flags.reviews),
        steps=trainer.state.global_step,
        epochs=trainer.state.epoch,
        final_loss=losses[-1] if losses else None,
        responses=of_all_processes(trainer.counts),
        seconds={**spent, "training_without_sampling": seconds - sampling},
        cost=asdict(plan.cost),
        found=dict(plan.found),
        arguments={name: getattr(trainer.args, name) for name in REPORTED},
    )
