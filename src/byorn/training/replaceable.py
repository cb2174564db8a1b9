"""What goes wrong only where responses are replaced, refused before the first of them is sampled."""

import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

import torch

from byorn.errors import ConfigError, DataError
from byorn.training.ema import STUDENT
from byorn.training.processes import rows_a_step

if TYPE_CHECKING:
    from datasets import Dataset

    from byorn.training.trainer import ByornTrainer

logger = logging.getLogger(__name__)

STARTS = ("pissa", "olora", "corda", "loftq")
"""Beginnings of a LoRA that change the weights below it."""


def require_replaceable(trainer: "ByornTrainer") -> None:
    """Refuse what goes wrong only where responses are replaced, and warn of what is done otherwise there.

    Raises:
        ConfigError: The adapter cannot have an average, or the batch size may change.
        DataError: Two rows have one name, by which their responses are sampled.
    """
    lora: Any = trainer.model.peft_config[STUDENT]
    if lora.peft_type != "LORA":
        raise ConfigError(
            f"peft_config: the average that writes responses is that of a LoRA, and this is {lora.peft_type.value}; "
            "use a LoraConfig, or replacement='drop'"
        )
    half = trainer.model.dtype != torch.float32
    for name, wrong, why in (
        ("init_lora_weights", str(lora.init_lora_weights).startswith(STARTS), "the weights below change with it"),
        ("bias", getattr(lora, "bias", "none") != "none", "PEFT has no second adapter with it"),
        ("modules_to_save", bool(lora.modules_to_save) and half, "its average is in float32, the model is not"),
    ):
        if wrong:
            raise ConfigError(
                f"{name}: {getattr(lora, name)!r} is not possible where responses are replaced ({why}); leave it out"
            )
    if trainer.args.auto_find_batch_size:
        raise ConfigError("auto_find_batch_size: steps are made before it; give a batch size that fits")
    require_names(trainer.train_dataset)
    if (order := str(trainer.args.train_sampling_strategy)) != "random":
        logger.warning(f"train_sampling_strategy: {order} is not followed, as steps are of trusted or of flagged rows")
    group, trusted = rows_a_step(trainer.args), int((~trainer.flagged).sum())
    if 0 < trusted < group:
        logger.warning(f"a step takes {group} rows, and {trusted} are trusted: some are in it more than once")


def require_names(dataset: "Dataset") -> None:
    """Refuse rows of one name, by which the noise of their responses is drawn.

    Raises:
        DataError: Two rows have one `id` and `turn`.
    """
    if "id" not in dataset.column_names:
        return
    turns = dataset["turn"] if "turn" in dataset.column_names else [0] * len(dataset)
    (name, _), count = Counter(zip(dataset["id"], turns, strict=True)).most_common(1)[0]
    if count > 1:
        raise DataError(
            f"train_dataset: {count} rows have the id {name!r}, by which their responses are sampled; give each row an "
            "id of its own, or leave the column out"
        )
