"""vLLM for what is generated outside training, by `rewrite`, `evaluate` and `verify`: checks, and the engine as a
source. How it is asked and probed: `byorn.training.engine`.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from byorn.data.row import Row
from byorn.errors import ConfigError
from byorn.models.spec import ModelSpec
from byorn.runs.narrate import say
from byorn.training.settings import EngineSettings

if TYPE_CHECKING:
    from byorn.training.engine.source import VllmSampledResponses
    from byorn.training.sampling import Sampling

VLLM_IMAGES = 64
"""Images that vLLM is given at once by default: it makes batches of its own, and holds whatever it was asked for. After
each call what is finished is on disk.
"""


def rows_at_once(engine: EngineSettings, given: int | None, usual: int, rows: Iterable[Row]) -> int:
    """Rows to ask for at once: as given, else `usual` of transformers, and of vLLM as many as have `VLLM_IMAGES`.

    Args:
        engine: What answers.
        given: What the user wants.
        usual: Of transformers.
        rows: All that will be asked for.
    """
    if given or engine.response_engine != "vllm":
        return given or usual
    return max(1, VLLM_IMAGES // max(1, _most_images(rows)))


def _most_images(rows: Iterable[Row]) -> int:
    return max((len(row.images) for row in rows), default=0)


def require_available(engine: EngineSettings, model: ModelSpec, temperature: float = 0.0) -> None:
    """Refuse an engine that cannot be had here, before anything is read.

    Raises:
        ConfigError: Naming the reason.
    """
    if engine.response_engine == "vllm":
        from byorn.training.engine.checks import require_vllm

        require_vllm(temperature, on_cpu=model.device == "cpu")
        _require_first_gpu(model.device)


def _require_first_gpu(device: str | None) -> None:
    number = (device or "").partition(":")[2]
    if number not in ("", "0"):
        raise ConfigError(
            f"response_engine: vllm runs on the first GPU that it sees, and --device is {device}; set "
            f"CUDA_VISIBLE_DEVICES={number} instead"
        )


def require_taken(engine: EngineSettings, model: Any) -> None:
    """Refuse a loaded model, with an adapter or without, that the engine would not sample as it is.

    Raises:
        ConfigError: Naming the reason.
    """
    if engine.response_engine == "vllm":
        from byorn.training.engine.checks import require_engine_model

        require_engine_model(model)


def room_for(engine: EngineSettings, model: Any, adapter: Path) -> int | None:
    """The rank of an adapter that is put on the model later; None where the engine need not know.

    Raises:
        ByornError: There is no adapter, or vLLM does not load such a one, or the model.
    """
    if engine.response_engine != "vllm":
        return None
    from byorn.models.adapters import load_adapter_config
    from byorn.pipeline.build import covered
    from byorn.training.engine.checks import largest_rank, require_engine_layers, require_plain_lora

    lora = load_adapter_config(adapter)
    require_plain_lora(lora)
    require_engine_layers(model, covered(model, lora))
    return largest_rank(lora)


@contextmanager
def vllm_source(
    processor: Any,
    sampling: "Sampling",
    engine: EngineSettings,
    model: ModelSpec,
    rows: Iterable[Row],
    room: int | None = None,
) -> "Iterator[VllmSampledResponses]":
    """vLLM as a source of responses; at the end, how far its probes were off is said.

    Args:
        processor: Of the model.
        sampling: How.
        engine: Its share of memory.
        model: What is sampled from.
        rows: All that it will be asked about.
        room: Rank of an adapter to come, see `room_for`.
    """
    from byorn.training.engine.source import VllmSampledResponses

    differences: list[float] = []
    yield VllmSampledResponses(
        processor,
        sampling,
        images=_most_images(rows),
        memory=engine.response_engine_memory,
        trust_remote_code=model.trust_remote_code,
        room=room,
        log=differences.append,
    )
    if differences:
        say(f"  vLLM is at most {max(differences):.3f} nats a token off transformers, in {len(differences)} probe(s)")


@contextmanager
def greedy_source(
    processor: Any,
    max_new_tokens: int,
    engine: EngineSettings,
    model: ModelSpec,
    rows: Iterable[Row],
    room: int | None = None,
) -> "Iterator[VllmSampledResponses | None]":
    """vLLM as it answers greedily; None, which leaves it to transformers, where that is the engine."""
    if engine.response_engine != "vllm":
        yield None
        return
    from byorn.training.sampling import Sampling

    sampling = Sampling(seed=0, max_new_tokens=max_new_tokens, temperature=0.0)
    with vllm_source(processor, sampling, engine, model, rows, room) as source:
        yield source
