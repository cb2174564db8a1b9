"""What a `ByornTrainer` is given, checked before a model is loaded or a row is scored, and completed where it is left out."""

from typing import Any

from byorn.errors import ConfigError, DataError, ModelError
from byorn.models.lora import default_lora
from byorn.training.collator import COLUMNS
from byorn.training.config import ByornConfig

_WHERE = ("revision", "subfolder", "cache_dir", "token", "local_files_only", "trust_remote_code")


def require_arguments(args: Any, dataset: Any) -> None:
    """Refuse arguments that would fail late, or not at all.

    Raises:
        ConfigError: `args` is not a `ByornConfig`.
        DataError: The rows are not prompts, completions and images that can be counted.
    """
    if not isinstance(args, ByornConfig):
        raise ConfigError(f"args: {type(args).__name__} given; use ByornConfig, which takes every SFTConfig argument")
    if not hasattr(dataset, "__len__"):
        raise DataError("train_dataset: a streaming data set cannot be scored or grouped; load it without streaming")
    missing = [name for name in COLUMNS if name not in dataset.column_names]
    if missing:
        raise DataError(f"train_dataset: no column {missing[0]!r}; see byorn.data.dataset.to_dataset for the columns")
    if not len(dataset):
        raise DataError("train_dataset: it has no row; see the list of rejected rows for the reasons")
    if isinstance(dataset.select_columns(["prompt"])[0]["prompt"], str):
        raise DataError("train_dataset: prompt is plain text; use messages, [{'role': 'user', 'content': ...}]")


def lora_for(model: Any, args: ByornConfig) -> Any:
    """The default `LoraConfig` for a model in memory, or for the name of one that TRL will load.

    Raises:
        ModelError: There is no such model, or its language model is not found.
    """
    return default_lora(_skeleton(model, args) if isinstance(model, str) else model)


def _skeleton(name: str, args: ByornConfig) -> Any:
    """The modules of a checkpoint without their weights: TRL loads those itself, with its own arguments."""
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    given: dict[str, Any] = {"trust_remote_code": args.trust_remote_code}
    given.update(args.model_init_kwargs or {})  # type: ignore[arg-type]
    where = {key: value for key, value in given.items() if key in _WHERE}
    try:
        config = AutoConfig.from_pretrained(name, **where)
        with torch.device("meta"):
            return AutoModelForImageTextToText.from_config(config, trust_remote_code=where["trust_remote_code"])
    except (OSError, ValueError, ImportError) as error:
        raise ModelError(f"model {name!r} cannot be loaded: {str(error).strip().splitlines()[0][:300]}") from error
