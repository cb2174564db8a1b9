"""The model card of an exported adapter: what really ran, with its numbers and limits."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from byorn.text import public_name

if TYPE_CHECKING:
    from jinja2 import Template

    from byorn.training.trainer import ByornTrainer

TEMPLATE = Path(__file__).with_name("card.md.j2")
REPORTED = (
    "rule", "percentile", "statistic", "replacement", "max_flagged_share", "keep_insertions", "soft_targets",
    "ema_decay", "response_temperature", "response_top_p", "max_response_tokens", "response_block", "response_engine",
    "learning_rate", "num_train_epochs", "max_steps", "per_device_train_batch_size", "gradient_accumulation_steps",
    "world_size", "seed", "bf16",
)  # fmt: skip
"""The training arguments that `training.json` and the card show."""


def reported(trainer: "ByornTrainer") -> dict[str, object]:
    """The training arguments that matter to the result, as they were used."""
    decay = trainer.average.decay if trainer.average else None
    used = {name: getattr(trainer.args, name) for name in REPORTED}
    if trainer.blocks:
        used["response_block"] = trainer.blocks.size
    return {**used, "ema_decay": decay.value, "ema_decay_from": decay.reason} if decay else used


def facts_of(trainer: "ByornTrainer") -> dict[str, Any]:
    """What a trainer knows about its own run, as `write_card` takes it; `found` are the instructions that were answered
    without words put into them.
    """
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return {
        "defense": _defense(trainer),
        "rows": trainer.rows,
        "flagged": trainer.flagged_rows,
        "rule": "column `flagged`" if trainer.flags is None else trainer.flags.rule,
        "reviews": {} if trainer.flags is None else asdict(trainer.flags.reviews),
        "learned": len(trainer.train_dataset),
        "steps": trainer.state.global_step,
        "epochs": trainer.state.epoch,
        "final_loss": losses[-1] if losses else None,
        "responses": trainer.tally.total,
        "seconds": trainer.tally.seconds,
        "found": {"stripped": trainer.stripped} if trainer.stripped else {},
        "arguments": reported(trainer),
    }


def _defense(trainer: "ByornTrainer") -> str:
    """The name that `byorn train --defense` has for it."""
    if trainer.args.replacement == "drop" and len(trainer.train_dataset) < trainer.rows:
        return "byorn-f"
    if not trainer.flagged.any():
        return "sft"
    return "byorn-soft" if trainer.args.soft_targets else "byorn"


def write_card(
    folder: Path, run: Mapping[str, object], base_model: str, data: str | None = None, tags: Sequence[str] = ()
) -> None:
    """Write `README.md` next to the adapter.

    Args:
        folder: Of the adapter.
        run: What `byorn.pipeline.summary.summarize` or `facts_of` returns.
        base_model: Name or folder of the model that was fine-tuned.
        data: Name or file of the data, if it is known; of a path only the last part is shown.
        tags: More tags for the Hub.
    """
    name = public_name(data) if data else None
    every = list(dict.fromkeys(["byorn", "lora", *tags]))
    card = _template().render(run=run, base_model=public_name(base_model), data=name, tags=every)
    (folder / "README.md").write_text(card + "\n", encoding="utf-8")


def write_own_card(
    trainer: "ByornTrainer", folder: Path, data: str | None = None, tags: str | list[str] | None = None
) -> None:
    """Write the card of a trainer's adapter; arguments as in `write_card`, and its own tags come first."""
    folder.mkdir(parents=True, exist_ok=True)
    base = trainer.accelerator.unwrap_model(trainer.model).config._name_or_path
    more = [tags] if isinstance(tags, str) else tags or []
    write_card(folder, facts_of(trainer), base, data, [*trainer._tag_names, *more])


@cache  # a card is written with every checkpoint
def _template() -> "Template":
    from jinja2 import Environment

    return Environment(autoescape=False).from_string(TEMPLATE.read_text(encoding="utf-8"))
