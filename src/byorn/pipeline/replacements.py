"""What `byorn rewrite --mode replace` samples from, and by what engine; `resample` keeps what comes of it."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from byorn.models.adapters import files_digest
from byorn.models.spec import ModelSpec
from byorn.phrases.insertions import stripped
from byorn.pipeline.engine import require_available, require_taken, rows_at_once, vllm_source
from byorn.pipeline.resample import resample, sampled_before
from byorn.pipeline.scanned import Scanned, require_scanned
from byorn.pipeline.settings.rewrite import RewriteSpec
from byorn.runs.narrate import say
from byorn.runs.stage import Record
from byorn.training.settings import ResponseSettings

if TYPE_CHECKING:
    from byorn.training.engine.source import VllmSampledResponses
    from byorn.training.responses import SampledResponses
    from byorn.training.sampling import Sampling

RESPONSES = "responses.parquet"
SAMPLED_TOGETHER = 8
"""Rows that transformers samples in one batch by default."""


def require_sampler(spec: RewriteSpec, model: ModelSpec, responses: ResponseSettings) -> None:
    """Refuse an engine that cannot be had here, before anything is read.

    Raises:
        ConfigError: Naming the reason.
    """
    if spec.mode == "replace":
        require_available(responses, model, responses.response_temperature)


def sample_replacements(
    scanned: Scanned, model: ModelSpec, out: Path, spec: RewriteSpec, responses: ResponseSettings
) -> dict[int, Record]:
    """New responses for the rows whose own are not used, by row number; from instructions as training has them.

    Raises:
        ByornError: The model is not the scanned one, the engine does not take it or fails, or responses that are there
            belong to something else.
    """
    chosen = [int(number) for number in np.flatnonzero(scanned.flags.replaced)]
    if not chosen:
        return {}
    from byorn.training.stripped import tell_stripped

    sampling = _sampling(scanned, spec, responses)
    changed = {} if responses.keep_insertions else _stripped(scanned)
    identity = _identity(scanned, spec, sampling, changed)
    if (before := sampled_before(out / RESPONSES, identity, scanned.rows, chosen)) is not None:
        return before
    loaded = _load(scanned, model, spec, responses)
    asked = (scanned.rows[number] for number in chosen)
    together = rows_at_once(responses, responses.response_batch_size, SAMPLED_TOGETHER, asked)
    say(f"sampling {len(chosen)} responses of at most {sampling.max_new_tokens} tokens")
    tell_stripped(changed)
    with _source(scanned, model, sampling, responses, together, chosen) as source:
        return resample(out / RESPONSES, identity, scanned.rows, chosen, loaded, source, together, changed)


def _identity(scanned: Scanned, spec: RewriteSpec, sampling: "Sampling", changed: Mapping[str, str]) -> dict[str, str]:
    """What the responses belong to, told without the model."""
    identity = {name: scanned.scores.metadata[name] for name in ("data", "model_digest", "processor_digest")}
    identity["max_new_tokens"] = str(sampling.max_new_tokens)
    if spec.adapter:
        identity["adapter_digest"] = files_digest(Path(spec.adapter))
    if changed:
        identity["stripped"] = "yes"  # what it is follows from data and flags
    return identity


def _stripped(scanned: Scanned) -> dict[str, str]:
    return stripped([row.instruction for row in scanned.rows], scanned.flags.unused.tolist())


def _load(scanned: Scanned, model: ModelSpec, spec: RewriteSpec, responses: ResponseSettings) -> Any:
    from byorn.models.adapters import load_adapter
    from byorn.models.digest import model_digest
    from byorn.models.load import load_spec

    say(f"loading {model.name}")
    loaded: Any = load_spec(model)
    require_scanned(scanned.scores, {"model_digest": model_digest(loaded)}, scanned.folder)
    if spec.adapter:
        loaded = load_adapter(loaded, spec.adapter)
    require_taken(responses, loaded)
    return loaded


def _sampling(scanned: Scanned, spec: RewriteSpec, responses: ResponseSettings) -> "Sampling":
    from byorn.training.sampling import Sampling, learned_length_limit

    trusted = [row.response for row, skip in zip(scanned.rows, scanned.flags.unused, strict=True) if not skip]
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
) -> "AbstractContextManager[SampledResponses | VllmSampledResponses]":
    if responses.response_engine == "vllm":
        return vllm_source(scanned.processor, sampling, responses, model, (scanned.rows[number] for number in chosen))
    from byorn.training.responses import SampledResponses

    return nullcontext(SampledResponses(scanned.processor, sampling, batch_size=together))
