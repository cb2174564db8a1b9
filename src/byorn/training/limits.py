"""What numbers and switches of SFTConfig may be: transformers lets most of them through, and fails in the middle of a
run, or waits. No torch here.
"""

from collections.abc import Mapping
from typing import get_args

from byorn.errors import ConfigError
from byorn.settings import Check, at_least, below, check_value, inside, positive, settings_of
from byorn.training.settings import TrainerOptions

LIMITS: Mapping[str, Check] = {
    **{item.name: item.metadata["check"] for _, item, _ in settings_of(TrainerOptions)},
    "warmup_steps": at_least(0),
    "weight_decay": at_least(0),
    "adam_beta1": below(1),
    "adam_beta2": below(1),
    "adam_epsilon": positive,
    "max_grad_norm": at_least(0),
    "label_smoothing_factor": below(1),
    "neftune_noise_alpha": at_least(0),
    "torch_empty_cache_steps": positive,
    "logging_steps": positive,
    "eval_steps": positive,
    "eval_delay": at_least(0),
    "per_device_eval_batch_size": positive,
    "eval_accumulation_steps": positive,
    "save_steps": positive,
    "save_total_limit": positive,
    "data_seed": below(2**32),
    "dataloader_num_workers": below(1000),
    "dataloader_prefetch_factor": positive,
    "ddp_bucket_cap_mb": positive,
    "ddp_timeout": below(2**31, 1),
    "local_rank": below(2**31, -1),
    "router_aux_loss_coef": at_least(0),
    "dataset_num_proc": positive,
    "max_length": positive,
    "pad_to_multiple_of": lambda value: None if isinstance(value, str) else positive(value),
}
"""Field of SFTConfig -> its check; a test finds a number that has none."""
TRUTHS = ("true", "false", "yes", "no", "on", "off")
TEXTS = {"include_num_input_tokens_seen": "no"}
"""Switches that SFTConfig turns off by a word too."""


def check_numbers(values: Mapping[str, object]) -> None:
    """Check what is known to be a number, before SFTConfig, which knows the types, is imported: that takes seconds.

    Raises:
        ConfigError: A number is out of range, or none.
    """
    for name, value in values.items():
        if name in LIMITS and value is not None and not isinstance(value, str):
            check_value(name, value, int | float, LIMITS[name])


def require_switches(values: Mapping[str, object], kinds: Mapping[str, object]) -> None:
    """Refuse quoted switches, also inside mappings: to Python any text is true.

    Args:
        values: Field of SFTConfig -> its value.
        kinds: Field -> its type.

    Raises:
        ConfigError: A value that should be true or false is a text such as "false".
    """
    for name, value in values.items():
        kind = get_args(kinds[name]) or (kinds[name],)
        wrong = isinstance(value, str) and bool in kind and (str not in kind or _says_truth(value))
        if wrong and TEXTS.get(name) != value:
            raise ConfigError(f"{name}: {value!r} is not true or false; write it without quotes")
        for place, inner in inside(name, value):
            if isinstance(inner, str) and _says_truth(inner):
                raise ConfigError(f"{place}: {inner!r} is not true or false; write it without quotes")


def _says_truth(text: str) -> bool:
    return text.strip().lower() in TRUTHS
