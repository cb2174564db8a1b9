"""What the Trainer finds out only when training begins, tried as the configuration is made: before rows are scored."""

from collections.abc import Callable, Mapping

import torch
from transformers import Trainer, TrainingArguments
from transformers.optimization import get_scheduler

from byorn.errors import ConfigError
from byorn.text import first_line

LONG = 10**9
"""Steps of a run of which no schedule's part is the whole."""


def require_startable(args: TrainingArguments) -> None:
    """Refuse an optimizer that is not installed or not described, and a schedule that lacks a number or has one too
    many.

    Raises:
        ConfigError: Naming the argument, with what the Trainer says of it.
    """
    tried: Mapping[str, Callable[[], object]] = {
        "optim": lambda: _optimizer(args),
        "lr_scheduler_type": lambda: _schedule(args),
    }
    for name, call in tried.items():
        try:
            call()
        except (ImportError, KeyError, TypeError, ValueError) as error:
            wanted = getattr(getattr(args, name), "value", getattr(args, name))
            raise ConfigError(
                f"{name}: {wanted!r} cannot be used as it is ({type(error).__name__}: {first_line(error)})"
            ) from error


def _optimizer(args: TrainingArguments) -> None:
    """Found, not made: some want a GPU. Some want layers that no module has here; without names of any they never find
    them.
    """
    try:
        Trainer.get_optimizer_cls_and_kwargs(args, torch.nn.Module())  # type: ignore[arg-type]
    except ValueError:
        if args.optim_target_modules is None:
            raise


def _schedule(args: TrainingArguments) -> None:
    get_scheduler(
        args.lr_scheduler_type,
        torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=args.learning_rate),
        num_warmup_steps=args.get_warmup_steps(LONG),
        num_training_steps=LONG,
        scheduler_specific_kwargs=args.lr_scheduler_kwargs,  # type: ignore[arg-type]  # a text is parsed by then
    )
