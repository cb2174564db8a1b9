"""The exponential moving average of the adapter, held as a second adapter of the same model.

    ema_t = lambda * ema_{t-1} + (1 - lambda) * theta_{t-1}

It starts at theta_0, where LoRA's B is zero: the pretrained model. PEFT saves and restores it with every checkpoint. It
is held in float32 whatever the model's type, since in bfloat16 a step of 0.001 rounds to nothing. A and B are averaged
apart, which is not the average of their product; `docs/method.md` says what that changes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from byorn.errors import ConfigError
from byorn.models.sharding import resharded
from byorn.runs.narrate import say
from byorn.training.decay import Decay, decay_for

if TYPE_CHECKING:
    from peft import PeftModel

STUDENT = "default"
EMA = "ema"


def add_ema(model: "PeftModel") -> None:
    """Add the `ema` adapter to a PEFT model, equal to the student, frozen, in float32. The random state is left as it
    was.
    """
    if EMA in model.peft_config:  # of an earlier run on the same model
        model.delete_adapter(EMA)
    with torch.random.fork_rng(), _student_kept(model):
        model.add_adapter(EMA, model.peft_config[STUDENT])
    for average, student in zip(*adapter_pairs(model), strict=True):
        average.data = student.data.float().clone()


def adapter_pairs(model: "PeftModel") -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """The parameters of the average and of the student, in the same order."""
    parameters = {tuple(name.split(".")): parameter for name, parameter in model.named_parameters()}
    averages = [name for name in parameters if EMA in name]
    if not averages:
        raise ConfigError("ema: the model has no 'ema' adapter; train with LoRA, or with replacement='drop'")
    students = [tuple(STUDENT if part == EMA else part for part in name) for name in averages]
    return [parameters[name] for name in averages], [parameters[name] for name in students]


def written(model: "PeftModel") -> Iterator[tuple[str, torch.Tensor]]:
    """What a checkpoint holds of a PEFT model: everything that is trained, and the average. All processes must ask."""
    for name, parameter in resharded(model).named_parameters():
        if parameter.requires_grad or EMA in name.split("."):
            yield name, parameter


@torch.no_grad()
def update_ema(model: "PeftModel", decay: float) -> None:
    """One step of the average, in place and in float32."""
    averages, students = adapter_pairs(model)
    torch._foreach_lerp_([p.data for p in averages], [p.data.float() for p in students], 1 - decay)


@contextmanager
def acting_as_ema(model: "PeftModel") -> "Iterator[PeftModel]":
    """The model as its average, in eval mode: no LoRA dropout while sampling. The student is put back as it was."""
    training = model.training
    model.eval()
    try:
        with _student_kept(model):
            model.set_adapter(EMA, inference_mode=True)
            yield model
    finally:
        model.train(training)


@contextmanager
def _student_kept(model: "PeftModel") -> Iterator[None]:
    """Whatever happens to adapters inside: afterwards the student is active, and exactly what was trained is
    trained.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        yield
    finally:
        model.set_adapter(STUDENT, inference_mode=True)
        for parameter in trained:
            parameter.requires_grad_(True)


@contextmanager
def types_kept(model: "PeftModel") -> Iterator[None]:
    """Whatever is loaded inside: parameters keep their types. PEFT makes adapters float32 as it loads them, but TRL
    trains those of a quantized model in bfloat16, and a resumed run would not be the one that was interrupted.
    """
    types = {name: parameter.dtype for name, parameter in model.named_parameters()}
    yield
    for name, parameter in model.named_parameters():
        if parameter.dtype != types[name]:
            parameter.data = parameter.data.to(types[name])


class EmaCallback(TrainerCallback):
    """Moves the average once an optimizer step, before a checkpoint is saved.

    Attributes:
        decay: As it is used, with its reason; None until training begins, for it may depend on the run's length.
    """

    def __init__(self, given: float | None) -> None:
        self.given = given
        self.decay: Decay | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        self.decay = decay_for(self.given, state.max_steps)
        say(f"  ema_decay {self.decay.value:.4g}: {self.decay.reason}", ema_decay=self.decay.value)
        if self.decay.warning:
            say(f"  warning: {self.decay.warning}")

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: "PeftModel | None" = None,
        **kwargs: object,
    ) -> None:
        update_ema(cast("PeftModel", model), cast("Decay", self.decay).value)
