"""What a person sees of training: one bar with rate and time left, and one short line per logging step.

    step 50/136  loss 0.5124  flagged 40 %  response 12 tokens  1 min 20 s left

Trackers get everything that the Trainer logs; this only replaces its dictionaries on the terminal.
"""

import time
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from byorn.runs.narrate import say, seconds
from byorn.runs.progress import progress


class ProgressLines(TrainerCallback):
    """A bar and lines. Evaluation inside training is announced by its line alone."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._open: Any = None
        self._began, self._from = 0.0, 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._began, self._from = time.perf_counter(), state.global_step
        if state.is_world_process_zero:
            self._open = progress(state.max_steps, "training", "step", wanted=not args.disable_tqdm)
            self._bar = self._open.__enter__()
            self._bar.update(state.global_step)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self._bar is not None:
            self._bar.update(1)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        if not state.is_world_process_zero or not logs or "train_runtime" in logs:
            return
        done = state.global_step - self._from
        left = (time.perf_counter() - self._began) / max(1, done) * (state.max_steps - state.global_step)
        say(
            log_line(state.global_step, state.max_steps, logs, left),
            step=state.global_step,
            steps=state.max_steps,
            **logs,
        )

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self._open is not None:
            self._open.__exit__(None, None, None)
        self._bar = self._open = None


def log_line(step: int, steps: int, logs: dict[str, float], left: float) -> str:
    """The line of a logging step; `left` are seconds."""
    parts = [f"step {step}/{steps}"]
    if "loss" in logs:
        parts.append(f"loss {float(logs['loss']):.4f}")
    if "eval_loss" in logs:
        parts.append(f"evaluation loss {float(logs['eval_loss']):.4f}")
    if "flagged_share" in logs:
        parts.append(f"flagged {float(logs['flagged_share']):.0%}")
    if "response_tokens" in logs:
        parts.append(f"response {float(logs['response_tokens']):.0f} tokens")
    return "  " + "  ".join([*parts, f"{seconds(left)} left"])


def show_progress(trainer: Any) -> None:
    """Put our lines in the place of the Trainer's bar and dictionaries."""
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    trainer.add_callback(ProgressLines())
