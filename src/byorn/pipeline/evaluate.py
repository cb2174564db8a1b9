"""`byorn evaluate`: what does a model say on clean inputs, and on triggered ones? Every figure with its n and an
interval.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from byorn.attacks.manifest import attacked
from byorn.data.row import Row
from byorn.data.spec import DataSpec
from byorn.errors import ConfigError
from byorn.evaluation.asr import Item, find_convention
from byorn.evaluation.metric import Metric
from byorn.evaluation.predict import PREDICTION, answering, identity, read_predictions, write_predictions
from byorn.evaluation.registry import METRICS
from byorn.evaluation.result import Evaluation
from byorn.goal import Goal
from byorn.models.adapters import load_adapter
from byorn.models.inputs import read_rows, require_source
from byorn.models.length import context_length
from byorn.models.load import load_config, load_spec, load_spec_processor
from byorn.models.spec import ModelSpec
from byorn.pipeline.engine import greedy_source, require_available, require_taken, rows_at_once
from byorn.pipeline.settings.evaluate import EvaluateSpec
from byorn.runs.alone import alone
from byorn.runs.folder import make_folder, require_ours, write_config, write_environment, write_json
from byorn.runs.narrate import say
from byorn.runs.ranks import is_main
from byorn.runs.rejects import list_rejects
from byorn.runs.stage import Record, finished, run_stage
from byorn.training.settings import EngineSettings

if TYPE_CHECKING:
    from transformers import ProcessorMixin

    from byorn.training.responses import ResponseSource

ANSWERED_TOGETHER = 16
"""Rows that transformers answers in one batch by default."""
ATTACK_METRICS = ("asr", "false_asr")
PREDICTIONS = "predictions.jsonl"
PREDICTIONS_TRIGGERED = "predictions_triggered.jsonl"
REJECTS_TRIGGERED = "rejects_triggered.jsonl"


@dataclass(frozen=True)
class Attack:
    """What counts as a success: the attacker's goal, and the convention of `byorn.evaluation.asr`."""

    goal: Goal
    convention: str = "substring"


def evaluate(
    data: DataSpec,
    model: ModelSpec,
    out: Path,
    spec: EvaluateSpec | None = None,
    *,
    triggered: DataSpec | None = None,
    attack: Attack | None = None,
    engine: EngineSettings | None = None,
) -> Evaluation | None:
    """Write `predictions.jsonl` (and `predictions_triggered.jsonl`) and `metrics.json` into `out`; return the metrics.

    Finished predictions in `out` are used again if they are of these rows, this model, adapter and engine. Under
    torchrun each process answers its shard of the rows; the first one computes the metrics over all of them, the others
    return None.

    Args:
        data: Clean test rows; their responses (or `references` columns) are the references.
        triggered: The same kind of rows with the trigger in their inputs and their true responses kept (`byorn poison
            --keep-responses`).
        attack: The target; then the ASR is measured on `triggered` and the false ASR on `data`.
        spec: The adapter, metrics and limits.
        engine: What answers.

    Raises:
        ConfigError: A metric or the convention is unknown, `triggered` and `attack` do not come together, the engine
            cannot be had, or another run is at work in `out`.
    """
    spec, engine = spec or EvaluateSpec(), engine or EngineSettings()
    check_metrics(spec.metrics)
    if (triggered is None) != (attack is None):
        raise ConfigError(
            "ASR: give both --triggered (inputs that carry the trigger) and --target (the attacker's text)"
        )
    if attack is not None:
        check_attack(attack)
    make_folder(out)
    with alone(out):
        return _evaluated(data, model, out, spec, triggered, attack, engine)


def _evaluated(
    data: DataSpec, model: ModelSpec, out: Path, spec: EvaluateSpec, triggered: DataSpec | None, attack: Attack | None,
    engine: EngineSettings,
) -> Evaluation | None:  # fmt: skip
    """What `evaluate` does in a folder that is its own."""
    require_ours(out, "evaluate", alone=False)
    if not _answered(out, triggered):  # other figures of what was answered want no engine
        require_available(engine, model)
    for source in filter(None, (data, triggered)):
        require_source(source)
    settings = {"data": data, "model": model, "evaluate": spec, "triggered": triggered, "attack": attack}
    write_config(out, {"command": "evaluate", **settings, "engine": engine})
    processor = load_spec_processor(model)
    limit = context_length(load_config(model))
    rows = read_rows(data, processor, out, limit, room=spec.max_new_tokens).rows
    list_rejects(out / REJECTS_TRIGGERED, [])  # of an earlier run; reading lists this one's
    marked = _triggered_rows(triggered, processor, out, limit, spec.max_new_tokens) if triggered else None
    loaded = _load(model, spec, engine)
    everything = [part for part in (rows, marked) if part]
    together = rows_at_once(engine, spec.batch_size, ANSWERED_TOGETHER, chain(*everything))
    with greedy_source(processor, spec.max_new_tokens, engine, model, chain(*everything)) as asked:
        results = measure(
            loaded, processor, rows, marked, out, attack, spec.metrics, together, spec.max_new_tokens, source=asked
        )
    if results is not None:
        write_json(out / "metrics.json", results.as_dict())
    write_environment(out, model=model.name, adapter=spec.adapter)
    return results


def _answered(out: Path, triggered: DataSpec | None) -> bool:
    return (out / PREDICTIONS).exists() and (not triggered or (out / PREDICTIONS_TRIGGERED).exists())


def _load(model: ModelSpec, spec: EvaluateSpec, engine: EngineSettings) -> Any:
    loaded: Any = load_spec(model)
    if spec.adapter:
        loaded = load_adapter(loaded, spec.adapter)
    require_taken(engine, loaded)
    return loaded


def _triggered_rows(
    triggered: DataSpec, processor: "ProcessorMixin", out: Path, limit: int | None, room: int
) -> Sequence[Row]:
    rows = read_rows(triggered, processor, out, limit, rejects=REJECTS_TRIGGERED, room=room).rows
    return attacked(rows, Path(triggered.source))


def measure(
    model: Any, processor: Any, rows: Sequence[Row], triggered: Sequence[Row] | None, out: Path, attack: Attack | None,
    metrics: Sequence[str], batch_size: int, max_new_tokens: int, source: "ResponseSource | None" = None,
) -> Evaluation | None:  # fmt: skip
    """The metrics of a model that is in memory; None in every process but the first. See `answers`."""
    options: dict[str, Any] = {"batch_size": batch_size, "max_new_tokens": max_new_tokens, "source": source}
    clean = answers(model, processor, rows, out / PREDICTIONS, **options)
    marked = None
    if triggered is not None and attack is not None:
        marked = answers(model, processor, triggered, out / PREDICTIONS_TRIGGERED, **options)
    if not is_main():
        return None
    if marked is None or attack is None:
        return Evaluation(clean=_utility(clean, metrics))
    goal = {"target": attack.goal.target, "convention": attack.convention, "source": attack.goal.source}
    return Evaluation(
        clean=_utility(clean, metrics),
        triggered=_utility(marked, metrics),
        asr=_with_truncated(METRICS["asr"](*_pairs(marked), **goal), marked, max_new_tokens),
        false_asr=_with_truncated(METRICS["false_asr"](*_pairs(clean), **goal), clean, max_new_tokens),
    )


def _with_truncated(rate: Metric, records: Sequence[Record], limit: int) -> Metric:
    """The rate with how many answers ran into the length limit, which may have cut the target off."""
    count = sum(bool(record["truncated"]) for record in records)
    if not count:
        return rate
    say(
        f"  warning: {count} of {len(records)} answers behind {rate.name} end at the limit of {limit} tokens; what an "
        "attacker says at the end of an answer is not seen there: raise --max-new-tokens"
    )
    return replace(rate, detail={**rate.detail, "truncated": count})


def answers(
    model: Any, processor: Any, rows: Sequence[Row], path: Path, *, batch_size: int, max_new_tokens: int,
    source: "ResponseSource | None" = None,
) -> list[Record]:  # fmt: skip
    """Answer this process's shard; in the first process the predictions of all rows, in their order. `source` is vLLM
    with the same length limit, see `byorn.pipeline.engine.greedy_source`; without it transformers answers.
    """
    made_from = identity(model, processor, rows, max_new_tokens, "vllm" if source else "transformers")
    if finished(path):
        say(f"using the predictions in {path}")
        return read_predictions(path, rows, made_from)
    order, compute = answering(model, processor, rows, max_new_tokens, source)
    run_stage(
        path, made_from, PREDICTION, order, batch_size, compute,
        lambda records: write_predictions(path, records, made_from),
        phase="predicting", only_main=True,
    )  # fmt: skip
    return read_predictions(path, rows, made_from) if is_main() else []


def check_metrics(metrics: Sequence[str]) -> None:
    """Raise a `ConfigError` if a utility metric is unknown."""
    known = [name for name in METRICS if name not in ATTACK_METRICS]
    unknown = [name for name in metrics if name not in known]
    if unknown:
        raise ConfigError(f"metrics: {unknown[0]!r} is unknown; use one of {', '.join(known)}")


def check_attack(attack: Attack) -> None:
    """Raise a `ConfigError` if no answer could be judged by its convention."""
    find_convention(attack.convention, Item(attack.goal))


def _utility(predictions: Sequence[Record], metrics: Sequence[str]) -> dict[str, Metric]:
    return {name: _measured(name, predictions) for name in metrics}


def _measured(name: str, predictions: Sequence[Record]) -> Metric:
    """A metric; a plugin's may be none."""
    found: object = METRICS[name](*_pairs(predictions))
    if not isinstance(found, Metric):
        fix = "return a Metric, as `mean` and `share` of byorn.evaluation.metric make it"
        raise ConfigError(f"metric {name!r}: it gives {type(found).__name__}; {fix}")
    return found


def _pairs(predictions: Sequence[Record]) -> tuple[list[str], list[list[str]]]:
    return [record["prediction"] for record in predictions], [record["references"] for record in predictions]
