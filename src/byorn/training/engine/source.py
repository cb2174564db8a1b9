"""Responses that vLLM samples, in this process and on the GPU that trains.

vLLM has a copy of the base model of its own. At each call it gets the average as an adapter, and a probe compares its
log-probabilities with those of the model here. Written for vLLM 0.33 by its source, and tested with a stand-in: nobody
has run it on a GPU. Other kernels and batches round differently, so a resumed run is not the straight one to the last
bit; with `EmaResponses` it is.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from byorn.errors import TrainingError
from byorn.models.generate import Generated, read_response
from byorn.text import first_line
from byorn.training.collator import Record
from byorn.training.engine.adapter import Versions
from byorn.training.engine.probe import heard, require_obeyed, require_same_model
from byorn.training.engine.request import Vocabulary, prompt_of, sampling, vocabulary
from byorn.training.engine.start import engine_dtype, start_engine
from byorn.training.noise import stream_seed
from byorn.training.responses import length_limit

if TYPE_CHECKING:
    from datasets import Dataset
    from peft import PeftModel
    from transformers import ProcessorMixin

    from byorn.training.trainer import ByornTrainer


class VllmResponses:
    """Ancestral samples t^ ~ p_ema(. | x, q) by vLLM, one a row and visit. It starts at the first call.

    Args:
        processor: Of the model.
        seed: Of the run.
        max_new_tokens: Length limit.
        images: The most that a row has.
        memory: Share of the GPU's memory that vLLM takes.
        temperature: 1 is what the bound wants.
        top_p: Nucleus; 1 keeps everything.
        trust_remote_code: Whether vLLM may run code in the model's folder.
        progress: Show vLLM's bar while sampling.
        log: Takes what the probe finds, in nats a token.

    Raises:
        ModelError: vLLM does not start.
        TrainingError: It fails later, or samples another model.
    """

    def __init__(
        self,
        processor: "ProcessorMixin",
        *,
        seed: int,
        max_new_tokens: int,
        images: int,
        memory: float,
        temperature: float = 1.0,
        top_p: float = 1.0,
        trust_remote_code: bool = False,
        progress: bool = False,
        log: Callable[[float], None] = lambda difference: None,
    ) -> None:
        self.processor = processor
        self.seed = seed
        self.max_new_tokens = max_new_tokens
        self.images = images
        self.memory = memory
        self.temperature = temperature
        self.top_p = top_p
        self.trust_remote_code = trust_remote_code
        self.progress = progress
        self.log = log
        self._engine: Any = None

    def __call__(self, model: "PeftModel", rows: Sequence[Record], step: int) -> list[Generated]:
        if not rows:
            return []
        if self._engine is None:
            self._start(model)
        words = vocabulary(model, self.processor)
        outputs = self._sample(model, rows, step, words)
        responses = [output.outputs[0].token_ids for output in outputs]
        require_obeyed(rows, responses, words.never, step)
        self.log(require_same_model(model, self.processor, rows[0], heard(outputs[0]), step))
        return [read_response(self.processor.tokenizer, ids, words.ends, words.lead) for ids in responses]

    def _start(self, model: "PeftModel") -> None:
        self._versions = Versions(engine_dtype(model))
        self._engine = start_engine(
            model,
            self.processor,
            images=self.images,
            memory=self.memory,
            seed=self.seed,
            trust_remote_code=self.trust_remote_code,
        )

    def _sample(self, model: "PeftModel", rows: Sequence[Record], step: int, words: Vocabulary) -> list[Any]:
        """A `vllm.RequestOutput` a row, in order; the first has log-probabilities."""
        from vllm.lora.request import LoRARequest

        version = self._versions.write(model)
        try:
            outputs: list[Any] = self._engine.generate(
                [prompt_of(self.processor, row) for row in rows],
                [self._sampling(row, step, words, probed=not place) for place, row in enumerate(rows)],
                lora_request=LoRARequest(version.name, version.number, str(version.folder)),
                use_tqdm=self.progress,
            )
        except Exception as error:  # a foreign stack fails in every way there is
            raise TrainingError(
                f"step {step + 1}: vLLM fails: {first_line(error)}; use response_engine='transformers'"
            ) from error
        return outputs

    def _sampling(self, row: Record, step: int, words: Vocabulary, *, probed: bool) -> Any:
        return sampling(
            words,
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_new_tokens,
            seed=stream_seed(self.seed, step, row.get("id", ""), row.get("turn", 0)),
            probed=probed,
        )


def vllm_source(trainer: "ByornTrainer", trusted: Iterable[Record]) -> VllmResponses:
    """Samples of the averaged model by vLLM as the trainer's `ByornConfig` wants them; `trusted` rows give the length
    limit if it names none.
    """
    args = trainer.args
    return VllmResponses(
        trainer.processing_class,
        seed=args.seed,
        max_new_tokens=length_limit(trainer.processing_class, args, trusted),
        images=most_images(trainer.train_dataset),
        memory=args.response_engine_memory,
        temperature=args.response_temperature,
        top_p=args.response_top_p,
        trust_remote_code=args.trust_remote_code,
        progress=not args.disable_tqdm,
        log=lambda difference: trainer._metrics["train"]["engine_difference"].append(difference),
    )


def most_images(dataset: "Dataset") -> int:
    """The most images of a row; none is decoded."""
    import pyarrow.compute as pc

    return pc.max(pc.list_value_length(dataset.data.column("images"))).as_py() or 0
