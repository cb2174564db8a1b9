"""A short, cross-fitted adaptation: what the pretrained model says after a few steps on the other half of the data.

A style that is foreign to the pretrained model makes every clean response implausible and hides a fluent attack. A few
LoRA steps take the style in, since all rows share it, long before they learn a rare response. Each row is scored by
the model that was adapted to the fold it is not in.

How long to adapt is decided by the data: every few steps the median score of some rows of the other fold is looked at,
which is a clean row's as long as most rows are (`byorn.scoring.learning_curve`); where there are several kinds of rows,
that of the kind with the highest one. The second fold takes as many steps as the first.

Of several processes each adapts to one fold and gets the other adapter from another, so that all have the two that a
single process trains. Where they share the weights of the model, all do both: none can run it alone.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import numpy as np

from byorn.models.group import handed_out, joined, told
from byorn.models.lora import default_lora
from byorn.models.recompute import recomputed
from byorn.models.sharding import agreed, is_sharded
from byorn.models.template import end_ids
from byorn.runs.batches import WHOLE, Shard
from byorn.scoring.learning_curve import LOOK, LearningCurve
from byorn.scoring.likelihood import learned, loss_of, same_state, scoring, tokens_of
from byorn.scoring.reader import reading

Result = TypeVar("Result")

RANK = 16
LEARNING_RATE = 2e-3
BATCH = 16
LONGEST = 40
"""Steps at most."""
PASSES = 2
"""Over the rows of a fold at most: in more a trigger is learned as well, and what it makes plausible is hidden."""
PROBED = 64
"""Rows of the other fold that are looked at."""
PROBED_KINDS = 4
"""The largest kinds, of which half as many are looked at each, if there are several."""
NAME = "byorn-fold-{}"
SEED = 0


class CrossFitted:
    """A PEFT model with an adapter for each fold, both trained when one is first wanted; see `cross_fitted`.

    Attributes:
        fold: bool array [n].
        kinds: int array [n].
        curve: How it went; empty as long as nothing is adapted.
    """

    def __init__(
        self, model: Any, processor: Any, dataset: Any, fold: np.ndarray, kinds: np.ndarray, usable: np.ndarray,
        batch_size: int, shard: Shard,
    ) -> None:  # fmt: skip
        self.model = model
        self.fold = fold
        self.kinds = kinds
        self.curve = LearningCurve()
        self._adapted = self._apart = self._thrifty = False
        self._shard = shard
        self._used: int | None = None
        self._data = processor, dataset
        self._usable = usable
        # Gradients take several times the memory of scoring, and processes that share weights cannot take fewer later.
        self._together = max(1, batch_size // 4) if is_sharded(model) else batch_size
        self._ends = end_ids(model, processor)

    def adapt(self) -> None:
        """Train both adapters, if that has not been done; several processes do it together."""
        if self._adapted:
            return
        self._apart = not is_sharded(self.model) and joined(self._shard)
        steps = longest(int((self._usable & ~self.fold).sum()))
        with scoring(self.model, adapters=True), reading(*self._data) as self._reader, ExitStack() as self._stack:
            if self._apart:
                self._train_apart(steps)
            else:
                self._train(0, steps, self._probed())
                self._train(1, self.curve.steps)
        self._adapted = True

    def use(self, fold: int) -> None:
        """Turn on the adapter that has learned the fold."""
        self.adapt()
        if self._used != fold:  # PEFT walks through all modules, which takes as long as a small model's layers
            self.model.set_adapter(NAME.format(fold))
            self._used = fold

    def _train_apart(self, steps: int) -> None:
        """Train one of the two, and hand out what the first two processes have.

        The first looks, the others hear: so none is done, and writes the files by which others see what is left to do,
        before all have begun.
        """
        index = self._shard.index
        self._train(index % 2, steps, [np.empty(0, dtype=int)] if index else self._probed())
        for fold in (0, 1):
            handed_out(self._weights(fold), source=fold)

    def _weights(self, fold: int) -> list[Any]:
        """Of the adapter."""
        name = NAME.format(fold)
        return [weight for path, weight in self.model.named_parameters() if name in path.split(".")]

    def _train(self, fold: int, steps: int, probed: Sequence[np.ndarray] = ()) -> None:
        """Learn the rows of a fold for so many steps, or until a look at what is probed says that it is over."""
        import torch

        self.model.set_adapter(NAME.format(fold))
        weights = [weight for weight in self.model.parameters() if weight.requires_grad]
        optimizer = torch.optim.AdamW(weights, lr=LEARNING_RATE, weight_decay=0.0)
        plan = list(self._plan(fold, steps, probed))
        self._reader.expect([part for _, groups in plan for rows in groups for part in self._parts(rows)])
        for is_look, groups in plan:
            if not is_look:
                self._step(optimizer, groups[0])
            elif self._over(groups):
                break
        optimizer.zero_grad()

    def _plan(self, fold: int, steps: int, probed: Sequence[np.ndarray]) -> Iterator[tuple[bool, Sequence[np.ndarray]]]:
        """What comes in turn: whether it is a look or a step, and the rows that it takes."""
        own = self._shuffled(self.fold == bool(fold))
        for step in range(steps + 1):
            if len(probed) and step % LOOK == 0:
                yield True, probed
            if step < steps and len(own):
                yield False, [np.take(own, range(BATCH * step, BATCH * (step + 1)), mode="wrap")]

    def _over(self, probed: Sequence[np.ndarray]) -> bool:
        """Look at the rows."""
        median = max(map(self._median, probed))
        self.curve = self.curve.then(told(median) if self._apart else median)
        return self.curve.over

    def _probed(self) -> list[np.ndarray]:
        """Rows of the other fold, of each kind that is looked at."""
        rows = self._shuffled(self.fold)
        numbers = np.flatnonzero(np.bincount(self.kinds[rows]) >= PROBED // 4)[:PROBED_KINDS]
        if len(numbers) < 2:
            return [rows[:PROBED]]
        return [rows[self.kinds[rows] == kind][: PROBED // 2] for kind in numbers]

    def _shuffled(self, chosen: np.ndarray) -> np.ndarray:
        """The usable rows among the chosen ones, in an order of their own."""
        return np.random.default_rng(SEED).permutation(np.flatnonzero(chosen & self._usable))

    def _step(self, optimizer: Any, rows: np.ndarray) -> None:
        """One optimizer step on the mean over all tokens of the rows."""

        def learn() -> None:
            optimizer.zero_grad()
            batches = [self._reader.take(part).inputs for part in self._parts(rows)]
            tokens = max(1, sum(int(learned(batch).sum()) for batch in batches))
            for batch in batches:
                (loss_of(self.model, batch) / tokens).backward()

        self._in_memory(learn)
        optimizer.step()

    def _median(self, rows: np.ndarray) -> float:
        """Of the rows' mean negative log-likelihoods."""

        def look() -> list[float]:
            return [
                -tokens.log_probs.mean()
                for part in self._parts(rows)
                for tokens in tokens_of(self.model, self._reader.take(part).inputs, self._ends)
            ]

        found = self._in_memory(look)
        return agreed(self.model, float(np.median(found)) if found else 0.0)

    def _in_memory(self, compute: Callable[[], Result]) -> Result:
        """What it computes of rows `_together`; where they do not fit into memory, of fewer at once from then on, and
        where a single one does not, with its layers computed twice.
        """
        import torch

        while True:
            try:
                return compute()
            except torch.OutOfMemoryError:
                if is_sharded(self.model) or not self._takes_less():  # the others cannot take less now
                    raise
            torch.cuda.empty_cache()

    def _takes_less(self) -> bool:
        """Whether there was a way to take less memory from here on."""
        if self._together > 1:
            self._together //= 2
            return True
        could, self._thrifty = not self._thrifty, True
        return could and self._stack.enter_context(recomputed(self.model))

    def _parts(self, rows: np.ndarray) -> list[list[int]]:
        """As many as are read, and learned or looked at, at once."""
        return [rows[start : start + self._together].tolist() for start in range(0, len(rows), self._together)]


def longest(rows: int) -> int:
    """Steps at most, for a fold of so many rows: up to a look."""
    return min(LONGEST, LOOK * -(-PASSES * rows // (BATCH * LOOK)))


@contextmanager
def cross_fitted(
    model: Any, processor: Any, dataset: Any, fold: np.ndarray, usable: np.ndarray, *, batch_size: int,
    kinds: np.ndarray | None = None, shard: Shard = WHOLE,
) -> Iterator[CrossFitted]:  # fmt: skip
    """The model with the adapters of the folds; afterwards it is as it was, and so is the random state.

    Args:
        model: The pretrained model in eval mode, or a PEFT model of it, whose own adapters are off meanwhile.
        processor: Its processor.
        dataset: Columns `prompt`, `completion`, `images`.
        fold: bool array [n], from `byorn.scoring.folds`.
        usable: bool array [n], rows that can be learned: those that have a score.
        batch_size: Rows at once; fewer where memory does not suffice.
        kinds: int array [n], from `byorn.scoring.kinds`; one kind if nothing is said.
        shard: Of several processes which one this is.
    """
    import torch

    kinds = np.zeros(len(fold), dtype=int) if kinds is None else kinds

    with torch.random.fork_rng(), _adapters(model) as adapted:
        yield CrossFitted(adapted, processor, dataset, fold, kinds, usable, batch_size, shard)


@contextmanager
def _adapters(model: Any) -> Iterator[Any]:
    """A PEFT model with an adapter for each fold."""
    import torch
    from peft import get_peft_model

    torch.manual_seed(SEED)
    config = default_lora(model, rank=RANK, dropout=0.0)
    names = [NAME.format(fold) for fold in (0, 1)]
    with same_state(model):
        if not hasattr(model, "peft_config"):
            adapted = get_peft_model(model, config, adapter_name=names[0])
            adapted.add_adapter(names[1], config)
            try:
                yield adapted.eval()
            finally:
                adapted.unload()
            return
        active = model.active_adapter
        try:
            for name in names:
                model.add_adapter(name, config)
            yield model.eval()
        finally:
            model.set_adapter(active)  # PEFT warns where the active one is deleted
            for name in names:
                if name in model.peft_config:
                    model.delete_adapter(name)
            _uncover(model)


def _uncover(model: Any) -> None:
    """Take off what PEFT leaves on layers that have no adapter any more."""
    for name, part in list(model.named_modules()):
        if hasattr(part, "base_layer") and not getattr(part, "lora_A", True):
            parent, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(parent), leaf, part.base_layer)
