"""What is measured, each by itself from a fresh model on: trainings with given flags, and scans by either rule."""

import gc
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from transformers import TrainerCallback

from byorn.bench.speed.clock import Clock
from byorn.bench.speed.flops import Sizes
from byorn.bench.speed.machine import Machine
from byorn.bench.speed.meter import BACKWARD, DECODE, FORWARD, Meter
from byorn.bench.speed.rows import with_text
from byorn.data.dataset import to_dataset
from byorn.data.row import Row
from byorn.models.spec import LoraSpec
from byorn.pipeline.build import build_config, build_lora
from byorn.pipeline.settings.train import TrainSpec

DATA, OPTIMIZER, REST = "data", "optimizer", "rest"
PLAIN, MIXED = "SFTTrainer", "mixed batches"


@dataclass(frozen=True)
class Arm:
    """A way to train: plain; with flagged rows in ordinary batches; or in steps of their own, `block` sampled at once;
    or, with a `rule`, a scan.
    """

    name: str
    block: int = 1
    rule: str | None = None


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Rows, and the model that reads them.

    Attributes:
        rows: As the model learns them.
        load: Loads model and processor anew, without features kept if asked for.
        sizes: Of the model.
        response_tokens: Of a row, on average, its end included.
        machine: Where.
        random: Whether the weights are random, so that what it says is no text.
        seed: Of the flags.
        arguments: Fields of `ByornConfig`.
        lora: The adapter.
        batch_size: Rows a forward pass of a scan.
    """

    rows: Sequence[Row]
    load: Callable[[bool], tuple[Any, Any]]
    sizes: Sizes
    response_tokens: float
    machine: Machine
    random: bool
    seed: int
    arguments: Mapping[str, object]
    lora: LoraSpec
    batch_size: int

    def flags(self, share: float) -> np.ndarray:
        """A share of the rows, at random; bool array [n]."""
        chosen = np.random.default_rng(self.seed).permutation(len(self.rows))[: round(share * len(self.rows))]
        return np.isin(np.arange(len(self.rows)), chosen)


class OptimizerPhase(TrainerCallback):
    """The step of the optimizer is a phase."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_pre_optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        self.clock.begin(OPTIMIZER)

    def on_optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        self.clock.end()


def measure(arm: Arm, work: Workload, share: float, **further: object) -> tuple[Clock, Meter]:
    """One arm from a fresh model on; `further` arguments are those of training."""
    clock = Clock()
    model, processor = work.load(arm.name == PLAIN)
    meter = Meter(clock, work.sizes, work.machine, work.response_tokens)
    meter.watch(model)
    if arm.rule:
        _scan(arm.rule, work, model, processor, clock)
    else:
        _train(arm, work, model, processor, work.flags(share), clock, meter, further)
    del model
    _collect()
    return clock, meter


def _train(
    arm: Arm, work: Workload, model: Any, processor: Any, flagged: np.ndarray, clock: Clock, meter: Meter,
    further: Mapping[str, object],
) -> None:  # fmt: skip
    from trl import SFTTrainer

    from byorn.training.trainer import ByornTrainer

    with tempfile.TemporaryDirectory() as folder:
        fixed = {"save_strategy": "no", "disable_tqdm": True, "response_block": arm.block}
        config = build_config(TrainSpec(arguments={**work.arguments, **fixed, **further}), Path(folder))
        given = {"processing_class": processor, "peft_config": build_lora(model, work.lora)}
        if arm.name == PLAIN:
            trainer: Any = SFTTrainer(model, config, train_dataset=to_dataset(work.rows), **given)
        else:
            trainer = ByornTrainer(model, config, train_dataset=to_dataset(work.rows, flagged.tolist()), **given)
            _sampling(trainer, arm, work, processor)
        _watch(trainer, clock, meter)
        with clock.phase(REST):
            trainer.train()
        trainer.accelerator.free_memory()


def _sampling(trainer: Any, arm: Arm, work: Workload, processor: Any) -> None:
    from torch.utils.data import RandomSampler

    if arm.name == MIXED:  # the order of SFTTrainer: a batch with a flagged row waits for its response
        trainer.sampler = RandomSampler(trainer.train_dataset)
    if work.random:
        trainer.source = with_text(trainer.source, processor.tokenizer)


def _watch(trainer: Any, clock: Clock, meter: Meter) -> None:
    """Phases of a training: what is not one of them is `rest`."""
    trainer.get_batch_samples = clock.timed(DATA, trainer.get_batch_samples)
    trainer.compute_loss = clock.timed(FORWARD, meter.learning(trainer.compute_loss))
    trainer.training_step = clock.timed(BACKWARD, trainer.training_step)
    trainer.model.generate = clock.timed(DECODE, trainer.model.generate)
    trainer.add_callback(OptimizerPhase(clock))


def _scan(rule: str, work: Workload, model: Any, processor: Any, clock: Clock) -> None:
    """Phases of a scan: what is read and told is `data`."""
    from byorn.runs.ranks import current_shard
    from byorn.scoring.score import evidence_together, score_together

    dataset, shard = to_dataset(work.rows), current_shard()
    with _watched_scan(clock), clock.phase(DATA):
        scores = score_together(model, processor, dataset, shard, batch_size=work.batch_size)
        if rule == "evidence":
            evidence_together(scores, model, processor, dataset, work.rows, shard, batch_size=work.batch_size)


@contextmanager
def _watched_scan(clock: Clock) -> Iterator[None]:
    from byorn.scoring import score, scorer
    from byorn.scoring.adaptation import CrossFitted

    with ExitStack() as stack:
        stack.enter_context(clock.watching(scorer, "tokens_of", "score"))
        stack.enter_context(clock.watching(CrossFitted, "adapt", "adapt"))
        stack.enter_context(clock.watching(score, "with_evidence", "search"))
        yield


def _collect() -> None:
    """Give the memory of a model back before the next one is loaded."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
