"""What a `ByornTrainer` is given, checked before a model is loaded or a row is scored, and completed where it is
left out.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from transformers import ProcessorMixin, TrainingArguments

from byorn.errors import ConfigError, ModelError
from byorn.models.lora import default_lora, describe
from byorn.text import first_line
from byorn.training.checkpoints import require_whole
from byorn.training.collator import COLUMNS, Batch, Record
from byorn.training.config import ByornConfig
from byorn.training.cut import require_responses
from byorn.training.ema import STUDENT
from byorn.training.engine.checks import require_engine_model, wants_engine

if TYPE_CHECKING:
    from datasets import Dataset
    from peft import LoraConfig, PeftModel
    from transformers import PreTrainedModel

    from byorn.training.trainer import ByornTrainer

logger = logging.getLogger(__name__)

_WHERE = ("revision", "subfolder", "cache_dir", "token", "local_files_only", "trust_remote_code")


def require_arguments(
    args: TrainingArguments, model: "str | PreTrainedModel | PeftModel", dataset: "Dataset", given: Mapping[str, Any]
) -> None:
    """Refuse arguments that would fail late, or not at all; `given` are those that only SFTTrainer knows.

    Raises:
        ConfigError: `args` is not a `ByornConfig`, or another argument of SFTTrainer does not fit.
        TrainingError: The checkpoint that `args` names is damaged.
    """
    if not isinstance(args, ByornConfig):
        raise ConfigError(f"args: {type(args).__name__} given; use ByornConfig, which takes every SFTConfig argument")
    if isinstance(args.resume_from_checkpoint, str):  # the Trainer leaves it to scripts, which hand it to `train`
        require_whole(args.resume_from_checkpoint)
    if given.get("formatting_func"):
        raise ConfigError("formatting_func: a text has no response of its own; give messages, or prompt and completion")
    processor = given.get("processing_class")
    named = isinstance(model, str) or model.config._name_or_path
    if processor is None and not named:
        raise ConfigError("processing_class: a model made in memory has no name to load it from; give the processor")
    if processor is not None and not isinstance(processor, ProcessorMixin):
        raise ConfigError(f"processing_class: {type(processor).__name__} given; use AutoProcessor, which reads images")
    if given.get("data_collator"):
        _require_collator(given["data_collator"], dataset[0])


def _require_collator(collator: Callable[[Sequence[Record]], Batch], row: Record) -> None:
    try:
        collator([{key: row[key] for key in COLUMNS}])["labels"]
    except Exception as error:  # it is the user's own code
        found = f"{type(error).__name__}: {first_line(error)}"
        raise ConfigError(
            f"data_collator: it fails on a row of prompt, completion and images ({found}); leave it out"
        ) from error


def require_trainable(trainer: "ByornTrainer") -> None:
    """Refuse what only the finished trainer shows.

    Raises:
        ConfigError: Its adapter has another name or is frozen, its processor no chat template, or its optimizer none of
            its weights; or the engine that it wants does not take the model; or `max_length` cuts every response away.
    """
    if STUDENT not in trainer.model.peft_config:
        name = next(iter(trainer.model.peft_config))
        raise ConfigError(f"model: its adapter is named {name!r}; byorn trains the one named {STUDENT!r}")
    if not any(parameter.requires_grad for parameter in trainer.model.parameters()):
        raise ConfigError(
            "model: its adapter is frozen, and nothing would be trained; load it with is_trainable=True, or leave "
            "inference_mode out of its peft_config"
        )
    if not trainer.processing_class.chat_template:
        raise ConfigError("processing_class: it has no chat template; use an instruction-tuned checkpoint, or add one")
    groups = trainer.optimizer.param_groups if trainer.optimizer is not None else []
    held = {id(parameter) for group in groups for parameter in group["params"]}
    if groups and not any(id(parameter) in held for parameter in trainer.model.parameters() if parameter.requires_grad):
        raise ConfigError("optimizers: made before the adapter, they train none of it; wrap the model with PEFT before")
    if wants_engine(trainer.args):
        require_engine_model(trainer.model)
    if limit := getattr(trainer.data_collator, "max_length", None):  # TRL's own, which cuts
        require_responses(trainer.train_dataset, trainer.processing_class, limit)


def readable_head(model: "PeftModel") -> None:
    """Let TRL's loss read the output head where PEFT has wrapped it, for tokens that it shares with the input
    (`trainable_token_indices`): the wrapper answers for its weight, and not for its bias.
    """
    head: Any = model.get_output_embeddings()
    if head is not None and not hasattr(head, "bias"):
        head.bias = head.original_module.bias


def lora_for(model: "str | PreTrainedModel", args: ByornConfig) -> "LoraConfig":
    """The default `LoraConfig` for a model in memory, or for the name of one that TRL will load.

    Raises:
        ModelError: There is no such model, or its language model is not found.
    """
    modules = _skeleton(model, args) if isinstance(model, str) else model
    lora: LoraConfig = default_lora(modules)
    found = describe(modules, str(lora.target_modules))
    logger.warning(f"no peft_config: {found}, where SFTTrainer would train every weight")
    return lora


def _skeleton(name: str, args: ByornConfig) -> "PreTrainedModel":
    """The modules of a checkpoint without their weights: TRL loads those itself, with its own arguments."""
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    given: dict[str, Any] = {"trust_remote_code": args.trust_remote_code}
    given.update(args.model_init_kwargs or {})  # type: ignore[arg-type]
    where = {key: value for key, value in given.items() if key in _WHERE}
    try:
        config = AutoConfig.from_pretrained(name, **where)
        with torch.device("meta"):
            model: PreTrainedModel = AutoModelForImageTextToText.from_config(
                config, trust_remote_code=where["trust_remote_code"]
            )
            return model
    except (OSError, ValueError, ImportError) as error:
        raise ModelError(f"model {name!r} cannot be loaded: {str(error).strip().splitlines()[0][:300]}") from error
