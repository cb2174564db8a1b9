"""`byorn scan`: score every response under the pretrained model and flag the implausible ones. Nothing is trained."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from byorn.data.row import Row
from byorn.errors import MismatchError
from byorn.flagging.percentile import flag_percentile
from byorn.flagging.table import Flags, read_flags, write_flags
from byorn.models.length import context_length
from byorn.models.load import model_digest, processor_digest
from byorn.pipeline.folder import write_config, write_environment
from byorn.pipeline.inputs import DataSpec, ModelSpec, read_rows, training_rows
from byorn.pipeline.narrate import say, seconds
from byorn.pipeline.ranks import first_on_main, is_main
from byorn.scoring.score import score_dataset
from byorn.scoring.table import Scores, read_scores, require_same, write_scores


@dataclass(frozen=True)
class ScanResult:
    """Rows with their scores and flags, in the same order, and what they were made with."""

    rows: list[Row]
    dataset: Any
    scores: Scores
    flags: Flags
    model: Any
    processor: Any
    seconds: float


def scan(data: DataSpec, model: ModelSpec, out: Path, *, percentile: float = 0.6, batch_size: int = 8) -> ScanResult:
    """Score and flag a data set into `out`: `scores.parquet`, `flags.parquet`, `rejects.jsonl`, `config.yaml`,
    `environment.json`.

    Finished work in `out` is used again if it belongs to this data and model: a whole score file, or the journal of a
    killed run. A person's review words in an earlier `flags.parquet` are kept.

    Raises:
        ByornError: The data or the model cannot be used, or `out` belongs to others.
    """
    from byorn.data.dataset import to_dataset

    out.mkdir(parents=True, exist_ok=True)
    write_config(
        out, {"command": "scan", "data": data, "model": model, "percentile": percentile, "batch_size": batch_size}
    )
    say(f"reading {data.source}")
    processor = model.processor()
    say(f"loading {model.name}")
    loaded = model.model()
    rows = read_rows(data, processor, out, context_length(loaded.config))
    dataset = to_dataset(training_rows(rows.rows, processor))
    identity = {
        "data": rows.fingerprint,
        "model": model.name,
        "model_digest": model_digest(loaded),
        "processor_digest": processor_digest(processor),
    }
    with first_on_main():
        scores, spent = _scores(loaded, processor, dataset, identity, out, batch_size)
        flags = _flags(scores, percentile, out / "flags.parquet")
    write_environment(out, **identity, rows=len(rows.rows), rejects=len(rows.rejects), seconds=spent)
    return ScanResult(rows.rows, dataset, scores, flags, loaded, processor, spent)


def _scores(
    model: Any, processor: Any, dataset: Any, identity: dict[str, str], out: Path, batch_size: int
) -> tuple[Scores, float]:
    from importlib.metadata import version

    path = out / "scores.parquet"
    if path.exists():
        scores = read_scores(path)
        require_same(scores.metadata, identity, path)
        if scores.keys != list(zip(dataset["id"], dataset["turn"], strict=True)):
            raise MismatchError(f"{path}: it is about other rows, or in another order; delete it and scan again")
        say(f"using the scores in {path}")
        return scores, float(scores.metadata.get("seconds", 0))
    journal = out / "scores.partial.jsonl"
    metadata = {**identity, "byorn_version": version("byorn"), "dtype": str(model.dtype)}
    began = time.perf_counter()
    scores = score_dataset(
        model,
        processor,
        dataset,
        batch_size=batch_size,
        metadata=metadata,
        journal=journal,
        progress=True,
    )
    spent = time.perf_counter() - began
    scores.metadata["seconds"] = f"{spent:.3f}"
    write_scores(path, scores)
    journal.unlink()
    say(f"scored {len(scores)} rows in {seconds(spent)} ({len(scores) / spent:.0f} rows/s)")
    return scores, spent


def _flags(scores: Scores, percentile: float, path: Path) -> Flags:
    flags = flag_percentile(scores, percentile)
    if path.exists() and (earlier := read_flags(path)).keys == flags.keys:
        flags = replace(flags, review=earlier.review)
    if is_main():
        write_flags(path, flags)
    unscored = int((~np.isfinite(scores.nll)).sum())
    say(
        f"flagged {int(flags.flagged.sum())} of {len(flags)} rows: score above {flags.threshold:.3f} nats a token ({flags.rule})"
    )
    if unscored:
        say(f"  {unscored} row(s) could not be scored and are flagged too; see the reason column of scores.parquet")
    return flags


def show_suspects(result: ScanResult, count: int = 10) -> str:
    """The least plausible responses as a plain table: score, row, response."""
    order = np.argsort(-np.nan_to_num(result.scores.nll, nan=np.inf))[:count]
    lines = [f"{'nats/token':>10}  {'row':<16}  response"]
    lines += [
        f"{result.scores.nll[i]:>10.3f}  {_clip(result.rows[i].id, 16):<16}  {_clip(result.rows[i].response, 90)}"
        for i in order
    ]
    return "\n".join(lines)


def _clip(text: str, width: int) -> str:
    """One printable line: control characters of a hostile row must not reach the terminal."""
    shown = "".join(c if c.isprintable() else " " for c in text)
    return shown if len(shown) <= width else shown[: width - 1] + "…"
