"""A training run of two optimizer steps on any family."""

from dataclasses import replace

from family_cases import family_of

from byorn.data.dataset import to_dataset
from byorn.testing import build_family
from byorn.training.config import ByornConfig
from byorn.training.trainer import ByornTrainer

GROUP = 2


def trainer_of(name, folder, **changes):
    """Four rows, the first two clean, in groups of two: a clean step, then a flagged one."""
    family = family_of(name)
    twice = [replace(row, id=f"{row.id} {at}") for at, row in enumerate(family.rows * 2)]
    rows = to_dataset(twice[: 2 * GROUP], [False, False, True, True])
    settings = {
        "use_cpu": True, "bf16": False, "report_to": "none", "disable_tqdm": True, "logging_steps": 1,
        "learning_rate": 0.05,
        "lr_scheduler_type": "constant", "max_steps": 2, "per_device_train_batch_size": GROUP, "max_response_tokens": 4,
        "save_strategy": "steps", "save_steps": 1, "ema_decay": 0.5, "gradient_checkpointing": False,
    }  # fmt: skip
    model, processor = build_family(name)
    arguments = {key: changes.pop(key) for key in ("peft_config",) if key in changes}
    config = ByornConfig(str(folder), **{**settings, **changes})
    return ByornTrainer(model, config, train_dataset=rows, processing_class=processor, **arguments)


def adapters(trainer, kind="lora_"):
    return {key: value.detach().clone() for key, value in trainer.model.named_parameters() if kind in key}
