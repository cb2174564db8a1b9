"""A vision tower that does not learn runs forward only.

With activation checkpointing transformers lets the output of every input embedding ask for a gradient, so that the
language model's checkpoints have one; the patches of the tower are among them. A frozen tower would run forward twice
and backward, for a gradient that nobody reads.
"""

from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from byorn.errors import ModelError
from byorn.models.parts import vision_prefix, without_adapter

if TYPE_CHECKING:
    from peft import PeftModel


class FrozenTower(TrainerCallback):
    """Keeps gradients out of the vision tower while a model trains, if none of its weights learns. What is learned is
    the same, to the last bit.
    """

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: "PeftModel | None" = None,
        **kwargs: object,
    ) -> None:
        tower = _tower(model)
        if tower is None:
            return
        _put_back(tower)  # a training that was interrupted has left it frozen
        if not any(weight.requires_grad for weight in tower.parameters()):
            before = tower.__dict__.get("forward")  # of the instance, as Accelerate's hooks leave one
            tower.forward = torch.no_grad()(tower.forward)
            tower.forward.before = before

    def on_train_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: "PeftModel | None" = None,
        **kwargs: object,
    ) -> None:
        _put_back(_tower(model))


def _tower(model: Any) -> Any:
    try:
        name = vision_prefix(model)
    except ModelError:  # an architecture whose LoRA layers the user has named
        return None
    return name and without_adapter(model).get_submodule(name)


def _put_back(tower: Any) -> None:
    frozen: Any = tower.__dict__.get("forward") if tower is not None else None
    if hasattr(frozen, "before"):
        del tower.forward
        if frozen.before is not None:
            tower.forward = frozen.before
