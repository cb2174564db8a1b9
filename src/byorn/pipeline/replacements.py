"""What `byorn rewrite --mode replace` samples from, and by what engine; `resample` keeps what comes of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from byorn.models.spec import ModelSpec
from byorn.pipeline.resample import resample
from byorn.pipeline.scanned import Scanned, require_scanned
from byorn.pipeline.settings import RewriteSpec
from byorn.runs.narrate import say
from byorn.runs.stage import Record
from byorn.training.settings import ResponseSettings

if TYPE_CHECKING:
    from byorn.training.engine.source import VllmSampledResponses
    from byorn.training.responses import SampledResponses
    from byorn.training.sampling import Sampling

RESPONSES = "responses.parquet"
AT_ONCE = {"transformers": 8, "vllm": 256}
"""Rows sampled together by default; vLLM makes batches of its own, and what is finished is on disk after so many."""


def require_sampler(spec: RewriteSpec, model: ModelSpec, responses: ResponseSettings) -> None:
    """Refuse an engine that cannot be had here, before anything is read.

    Raises:
        ConfigError: Naming the reason.
    """
    if spec.mode == "replace" and responses.response_engine == "vllm":
        from byorn.training.engine.checks import require_vllm

        require_vllm(responses.response_temperature, on_cpu=model.device == "cpu")


def sample_replacements(
    scanned: Scanned, model: ModelSpec, out: Path, spec: RewriteSpec, responses: ResponseSettings
) -> dict[int, Record]:
    """New responses for the rows whose own are not used, by row number.

    Raises:
        ByornError: The model is not the scanned one, or the engine does not take it or fails.
    """
    chosen = [int(number) for number in np.flatnonzero(scanned.flags.replaced)]
    if not chosen:
        return {}
    from byorn.models.digest import adapter_digest

    loaded = _load(scanned, model, spec, responses)
    sampling = _sampling(scanned, spec, responses)
    identity = {name: scanned.scores.metadata[name] for name in ("data", "model_digest", "processor_digest")}
    identity |= {"adapter_digest": adapter_digest(loaded), "max_new_tokens": str(sampling.max_new_tokens)}
    together = responses.response_batch_size or AT_ONCE[responses.response_engine]
    say(f"sampling {len(chosen)} responses of at most {sampling.max_new_tokens} tokens")
    differences: list[float] = []
    source = _source(scanned, model, sampling, responses, together, chosen, differences)
    found = resample(out / RESPONSES, identity, scanned.rows, chosen, loaded, source, together)
    if differences:
        say(f"  vLLM is at most {max(differences):.3f} nats a token off transformers, in {len(differences)} probe(s)")
    return found


def _load(scanned: Scanned, model: ModelSpec, spec: RewriteSpec, responses: ResponseSettings) -> Any:
    from byorn.models.digest import model_digest
    from byorn.models.load import load_adapter, load_spec
    from byorn.training.engine.checks import require_engine_model

    say(f"loading {model.name}")
    loaded: Any = load_spec(model)
    require_scanned(scanned.scores, {"model_digest": model_digest(loaded)}, scanned.folder)
    if spec.adapter:
        loaded = load_adapter(loaded, spec.adapter)
    if responses.response_engine == "vllm":
        require_engine_model(loaded)
    return loaded


def _sampling(scanned: Scanned, spec: RewriteSpec, responses: ResponseSettings) -> "Sampling":
    from byorn.training.sampling import Sampling, learned_length_limit

    unused = scanned.flags.replaced | scanned.flags.dropped
    trusted = [row.response for row, skip in zip(scanned.rows, unused, strict=True) if not skip]
    return Sampling(
        seed=spec.seed,
        max_new_tokens=responses.max_response_tokens or learned_length_limit(scanned.processor, trusted),
        temperature=responses.response_temperature,
        top_p=responses.response_top_p,
    )


def _source(
    scanned: Scanned,
    model: ModelSpec,
    sampling: "Sampling",
    responses: ResponseSettings,
    together: int,
    chosen: list[int],
    differences: list[float],
) -> "SampledResponses | VllmSampledResponses":
    if responses.response_engine == "vllm":
        from byorn.training.engine.source import VllmSampledResponses

        return VllmSampledResponses(
            scanned.processor,
            sampling,
            images=max(len(scanned.rows[number].images) for number in chosen),
            memory=responses.response_engine_memory,
            trust_remote_code=model.trust_remote_code,
            log=differences.append,
        )
    from byorn.training.responses import SampledResponses

    return SampledResponses(scanned.processor, sampling, batch_size=together)
