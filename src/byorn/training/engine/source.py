"""Responses that vLLM samples, in this process, on the GPU that the model is on or, by its build for CPUs, on these.

vLLM has a copy of the base model of its own. At each call it gets the adapter that the model here acts with (in
training the average, elsewhere the given one or none), and a probe compares its log-probabilities with those of
the model here. Written for vLLM 0.33 by its source, and tested with a stand-in: nobody has run it on a GPU. Other
kernels and batches round differently, so a resumed run is not the straight one to the last bit; with `EmaResponses` it
is.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from byorn.errors import TrainingError
from byorn.models.generate import Generated, read_response
from byorn.text import first_line
from byorn.training.collator import Record
from byorn.training.ema import acting_as_ema
from byorn.training.engine.adapter import Versions, acting_adapter
from byorn.training.engine.checks import wants_engine
from byorn.training.engine.probe import read_output, require_obeyed, require_same_model
from byorn.training.engine.request import Vocabulary, prompt_of, request, vocabulary
from byorn.training.engine.start import engine_dtype, start_engine
from byorn.training.responses import ResponseSource, ema_source
from byorn.training.sampling import Sampling, sampling_of

if TYPE_CHECKING:
    from datasets import Dataset
    from peft import PeftModel
    from transformers import ProcessorMixin

    from byorn.training.trainer import ByornTrainer


class VllmSampledResponses:
    """Ancestral samples t^ ~ p(. | x, q) of a model as it is, in eval mode, by vLLM, one a row and visit; greedy
    responses at temperature 0. It starts at the first call, and later ones must be about the same base model, with an
    adapter only where there is room for one.

    Args:
        processor: Of the model.
        sampling: How; the bar is vLLM's.
        images: The most that a row has.
        memory: Share of the device's memory that vLLM takes, in (0, 1].
        trust_remote_code: Whether vLLM may run code in the model's folder.
        room: The largest rank of an adapter to come; that of the first model's adapter by default, and none without it.
        log: Takes what the probe finds, in nats a token.

    Raises:
        ModelError: vLLM does not start.
        TrainingError: It fails later, or samples another model.
    """

    def __init__(
        self,
        processor: "ProcessorMixin",
        sampling: Sampling,
        *,
        images: int,
        memory: float,
        trust_remote_code: bool = False,
        room: int | None = None,
        log: Callable[[float], None] = lambda difference: None,
    ) -> None:
        self.processor = processor
        self.sampling = sampling
        self.images = images
        self.memory = memory
        self.trust_remote_code = trust_remote_code
        self.room = room
        self.log = log
        self._engine: Any = None

    def __call__(self, model: Any, rows: Sequence[Record], step: int) -> list[Generated]:
        if not rows:
            return []
        if self._engine is None:
            self._start(model)
        words = vocabulary(model, self.processor)
        outputs = self._sample(model, rows, step, words)
        responses = [output.outputs[0].token_ids for output in outputs]
        require_obeyed(rows, responses, words.never)
        self.log(require_same_model(model, self.processor, rows[0], read_output(outputs[0])))
        return [read_response(self.processor.tokenizer, ids, words.ends, words.lead) for ids in responses]

    def _start(self, model: Any) -> None:
        self._versions = Versions(engine_dtype(model))
        self._engine = start_engine(
            model,
            self.processor,
            images=self.images,
            memory=self.memory,
            seed=self.sampling.seed,
            trust_remote_code=self.trust_remote_code,
            room=self.room,
        )

    def _sample(self, model: Any, rows: Sequence[Record], step: int, words: Vocabulary) -> list[Any]:
        """A `vllm.RequestOutput` a row, in order; the first has log-probabilities."""
        adapter = self._adapter(model)
        try:
            outputs: list[Any] = self._engine.generate(
                [prompt_of(self.processor, row) for row in rows],
                [request(words, self.sampling, row, step, probed=not place) for place, row in enumerate(rows)],
                lora_request=adapter,
                use_tqdm=self.sampling.progress,
            )
        except Exception as error:  # a foreign stack fails in every way there is
            raise TrainingError(f"vLLM fails: {first_line(error)}; use response_engine='transformers'") from error
        return outputs

    def _adapter(self, model: Any) -> Any:
        """A `LoRARequest` of the adapter that the model acts with; None for a model without any."""
        if acting_adapter(model) is None:
            return None
        from vllm.lora.request import LoRARequest

        version = self._versions.write(model)
        return LoRARequest(version.name, version.number, str(version.folder))


class VllmResponses(VllmSampledResponses):
    """Ancestral samples t^ ~ p_ema(. | x, q) by vLLM: those of the averaged model. An error names the step."""

    def __call__(self, model: "PeftModel", rows: Sequence[Record], step: int) -> list[Generated]:
        try:
            with acting_as_ema(model):
                return super().__call__(model, rows, step)
        except TrainingError as error:
            raise TrainingError(f"step {step + 1}: {error}") from error


def averaged_source(trainer: "ByornTrainer") -> ResponseSource:
    """Samples of the averaged model by the engine that the trainer's `ByornConfig` names; the rows whose own responses
    are learned give the length limit if it names none.
    """
    trusted = trainer.train_dataset.select(np.flatnonzero(~trainer.flagged)).select_columns(["completion"])
    if wants_engine(trainer.args):
        return vllm_source(trainer, trusted)
    return ema_source(trainer.processing_class, trainer.args, trusted)


def vllm_source(trainer: "ByornTrainer", trusted: Iterable[Record]) -> VllmResponses:
    """Samples of the averaged model by vLLM as the trainer's `ByornConfig` wants them; `trusted` rows give the length
    limit if it names none.
    """
    args = trainer.args
    return VllmResponses(
        trainer.processing_class,
        sampling_of(trainer.processing_class, args, trusted),
        images=most_images(trainer.train_dataset),
        memory=args.response_engine_memory,
        trust_remote_code=args.trust_remote_code,
        log=lambda difference: trainer._metrics["train"]["engine_difference"].append(difference),
    )


def most_images(dataset: "Dataset") -> int:
    """The most images of a row; none is decoded."""
    import pyarrow.compute as pc

    return pc.max(pc.list_value_length(dataset.data.column("images"))).as_py() or 0
