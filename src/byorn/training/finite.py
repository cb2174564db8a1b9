"""Numbers that are not finite end the run: before the optimizer takes such a gradient, and before such weights are
written.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from byorn.errors import TrainingError

if TYPE_CHECKING:
    from peft import PeftModel

PATIENCE = 20
"""Steps in a row that a loss scaler (fp16) may skip while it looks for its scale."""


class FiniteGradients(TrainerCallback):
    """Looks at each gradient before the optimizer does; gradients are the same in all processes, and so is the verdict.

    Raises:
        TrainingError: The norm of a gradient is not finite: in fp16 at `PATIENCE` steps in a row, else at the first.
    """

    def __init__(self) -> None:
        self._skipped = 0

    def on_pre_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: "PeftModel | None" = None,
        **kwargs: object,
    ) -> None:
        gradients = [p.grad for p in cast("PeftModel", model).parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        self._skipped = 0 if bool(torch.isfinite(norm)) else self._skipped + 1
        if self._skipped >= (PATIENCE if args.fp16 else 1):
            raise TrainingError(
                f"step {state.global_step + 1}: the gradient is not finite ({float(norm)}), so nothing is learned from "
                f"it and nothing is exported; {_advice(args)}"
            )


def require_finite_weights(named: Iterable[tuple[str, torch.Tensor]], args: TrainingArguments, step: int) -> None:
    """Refuse to write weights that are not finite; `named` are those that would be written.

    Raises:
        TrainingError: Naming the first of them.
    """
    broken = [name for name, weight in named if not bool(torch.isfinite(weight).all())]
    if broken:
        raise TrainingError(
            f"step {step}: {len(broken)} tensor(s) of the adapter are not finite, first {broken[0]}; they are not "
            f"written; {_advice(args)}"
        )


def _advice(args: TrainingArguments) -> str:
    """What to do, and what is left."""
    kept = get_last_checkpoint(args.output_dir) if args.output_dir else None
    stays = f"; {kept} stays" if kept else ""
    precision = ", or bf16 instead of fp16" if args.fp16 else ""
    return f"use a learning_rate below {args.learning_rate:g}{precision}, in another output folder{stays}"
