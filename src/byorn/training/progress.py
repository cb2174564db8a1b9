"""What a person sees of training: one bar with rate and time left, and one short line per logging step.

    step 50/136  loss 0.5124  flagged 40%  response 12 tokens  1 min 20 s left

Trackers get everything that the Trainer logs; this only replaces its dictionaries on the terminal.
"""

import time
from collections.abc import Mapping, Sized
from contextlib import ExitStack
from typing import TYPE_CHECKING

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from byorn.runs.narrate import say, seconds
from byorn.runs.progress import progress

if TYPE_CHECKING:
    from tqdm import tqdm
    from transformers import Trainer


class ProgressLines(TrainerCallback):
    """A bar of training, one of each evaluation, and lines."""

    def __init__(self) -> None:
        self._training = Bar("training", "step")
        self._evaluation = Bar("evaluation", "batch")
        self._began = 0.0
        self._from = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        self._began = time.perf_counter()
        self._from = state.global_step
        self._training.open(state.max_steps, wanted=not args.disable_tqdm)
        self._training.move(state.global_step)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        self._training.move(1)

    def on_prediction_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        eval_dataloader: Sized | None = None,
        **kwargs: object,
    ) -> None:
        if eval_dataloader is not None:
            self._evaluation.open(len(eval_dataloader), wanted=not args.disable_tqdm)
        self._evaluation.move(1)

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        self._evaluation.close()

    def on_predict(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: Mapping[str, float],
        **kwargs: object,
    ) -> None:
        self._evaluation.close()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, float] | None = None,
        **kwargs: object,
    ) -> None:
        if not state.is_world_process_zero or not logs or "train_runtime" in logs:
            return
        done = state.global_step - self._from
        left = (time.perf_counter() - self._began) / max(1, done) * (state.max_steps - state.global_step)
        facts = {**logs, "step": state.global_step, "steps": state.max_steps, "seconds_left": round(max(0.0, left), 1)}
        say(log_line(state.global_step, state.max_steps, logs, left), **facts)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        self._training.close()


class Bar:
    """A bar that is opened by one callback and closed by another; closed, it ignores being moved."""

    def __init__(self, phase: str, unit: str) -> None:
        self.phase = phase
        self.unit = unit
        self._stack = ExitStack()
        self._bar: tqdm[object] | None = None

    def open(self, total: int, *, wanted: bool) -> None:
        """Show it, unless it is open."""
        if self._bar is None:
            self._bar = self._stack.enter_context(progress(total, self.phase, self.unit, wanted=wanted))

    def move(self, count: int) -> None:
        """Go on by `count` units."""
        if self._bar is not None:
            self._bar.update(count)

    def close(self) -> None:
        """Take it away."""
        self._stack.close()
        self._bar = None


def log_line(step: int, steps: int, logs: Mapping[str, float], left: float) -> str:
    """The line of a logging step; `left` are seconds."""
    parts = [f"step {step}/{steps}"] if steps else []
    if "loss" in logs:
        parts.append(f"loss {float(logs['loss']):.4f}")
    for name in logs:  # with several evaluation sets: eval_clean_loss, eval_other_loss
        if name.startswith("eval_") and name.endswith("_loss"):
            parts.append(f"{name.removesuffix('_loss').replace('eval', 'evaluation', 1)} loss {float(logs[name]):.4f}")
    if "flagged_share" in logs:
        parts.append(f"flagged {float(logs['flagged_share']):.0%}")
    if "response_tokens" in logs:
        parts.append(f"response {float(logs['response_tokens']):.0f} tokens")
    if step < steps and step > 0:
        parts.append(f"{seconds(left)} left")
    return "  " + "  ".join(parts)


def show_progress(trainer: "Trainer") -> None:
    """Put our lines in the place of the Trainer's bar and dictionaries."""
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    trainer.add_callback(ProgressLines())
