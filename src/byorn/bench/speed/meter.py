"""Watches the forward passes of a model, and adds up for each phase what they cannot do without."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from byorn.bench.speed.clock import Clock
from byorn.bench.speed.flops import Call, Sizes, backward_flops, forward_flops, read_bytes
from byorn.bench.speed.machine import Machine
from byorn.models.parts import without_adapter
from byorn.training.responses import IGNORE

FORWARD, BACKWARD, PREFILL, DECODE = "forward", "backward", "prefill", "decode"


@dataclass
class Work:
    """Of a phase.

    Attributes:
        flops: Operations.
        tokens: That the language model read, without padding.
        floor: Seconds that the machine needs at least.
    """

    flops: float = 0.0
    tokens: int = 0
    floor: float = 0.0


class Meter:
    """The work of a model's forward passes, and of the backward passes that follow those with gradients.

    Args:
        clock: Says which phase it is. What `generate` does is one phase, `decode`; the pass over the prompt in it
            becomes one by itself, `prefill`.
        sizes: Of the model.
        machine: Where it runs.
        response_tokens: Of a row, on average, where the batch does not say which are learned.

    Attributes:
        work: By phase.
    """

    def __init__(self, clock: Clock, sizes: Sizes, machine: Machine, response_tokens: float) -> None:
        self.work: dict[str, Work] = {}
        self._clock = clock
        self._sizes = sizes
        self._machine = machine
        self._response_tokens = response_tokens
        self._learned: int | None = None

    def watch(self, model: Any) -> None:
        """Count the passes of a model from now on."""
        inner = without_adapter(model).base_model
        inner.register_forward_pre_hook(self._before, with_kwargs=True)
        inner.register_forward_hook(self._after, always_call=True)

    def learning(self, compute_loss: Callable[..., Any]) -> Callable[..., Any]:
        """A trainer's `compute_loss`, whose inputs say which tokens are learned."""

        @wraps(compute_loss)
        def run(model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            self._learned = int((inputs["labels"] != IGNORE).sum())
            try:
                return compute_loss(model, inputs, *args, **kwargs)
            finally:
                self._learned = None

        return run

    def _before(self, module: Any, args: Any, kwargs: Any) -> None:
        import torch

        past = kwargs.get("past_key_values")
        before = past.get_seq_length() if past is not None else 0
        if self._clock.current == DECODE and not before:
            self._clock.begin(PREFILL)
        call = self._call(kwargs, before)
        trained = torch.is_grad_enabled()
        self._add(self._clock.current, call, forward_flops(self._sizes, call, adapted=trained), call.tokens)
        if trained:
            phase = BACKWARD if self._clock.current == FORWARD else self._clock.current
            self._add(phase, call, backward_flops(self._sizes, call), 0)

    def _after(self, *_: Any) -> None:
        if self._clock.current == PREFILL:
            self._clock.end()

    def _call(self, kwargs: Any, before: int) -> Call:
        ids = kwargs.get("input_ids") if kwargs.get("input_ids") is not None else kwargs["inputs_embeds"]
        rows, length = ids.shape[:2]
        mask = kwargs.get("attention_mask")
        seen = mask.sum(1).tolist() if getattr(mask, "ndim", 0) == 2 else [before + length] * rows
        new = [length if before else tokens for tokens in seen]
        return Call(
            tokens=sum(new),
            pairs=sum(n * context - n * (n - 1) // 2 for n, context in zip(new, seen, strict=True)),
            context=sum(seen),
            positions=self._positions(rows),
            pixels=pixels.numel() if (pixels := kwargs.get("pixel_values")) is not None else 0,
        )

    def _positions(self, rows: int) -> float:
        if self._learned is not None:
            return self._learned
        return rows * (1 if self._clock.current in (PREFILL, DECODE) else self._response_tokens)

    def _add(self, phase: str, call: Call, flops: float, tokens: int) -> None:
        work = self.work.setdefault(phase, Work())
        work.flops += flops
        work.tokens += tokens
        work.floor += self._machine.floor(flops, read_bytes(self._sizes, call))
