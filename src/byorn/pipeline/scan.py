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
from byorn.models.inputs import DataSpec, Inputs, ModelSpec, open_inputs
from byorn.runs.folder import write_config, write_environment
from byorn.runs.narrate import say, seconds
from byorn.runs.ranks import is_main, share
from byorn.runs.together import all_records, open_journal, wait_until
from byorn.scoring.score import score_share
from byorn.scoring.table import Scores, from_records, read_scores, require_same, write_scores


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
    killed run. A person's review words in an earlier `flags.parquet` are kept. Under torchrun each process scores its
    share of the rows, and all of them return the same result.

    Raises:
        ByornError: The data or the model cannot be used, or `out` belongs to others.
    """
    out.mkdir(parents=True, exist_ok=True)
    write_config(
        out, {"command": "scan", "data": data, "model": model, "percentile": percentile, "batch_size": batch_size}
    )
    return score_and_flag(open_inputs(data, model, out), out, percentile=percentile, batch_size=batch_size)


def score_and_flag(inputs: Inputs, out: Path, *, percentile: float, batch_size: int) -> ScanResult:
    """What `scan` does once the rows and the model are in memory."""
    if (out / "scores.parquet").exists():
        say(f"using the scores in {out / 'scores.parquet'}")
    else:
        _score(inputs.model, inputs.processor, inputs.dataset, inputs.identity, out / "scores.parquet", batch_size)
    scores = _finished_scores(out / "scores.parquet", inputs.identity, inputs.dataset)
    spent = float(scores.metadata.get("seconds", 0))
    flags = _flags(scores, percentile, out / "flags.parquet")
    write_environment(out, **inputs.identity, rows=len(inputs.rows), rejects=inputs.rejects, seconds=spent)
    return ScanResult(inputs.rows, inputs.dataset, scores, flags, inputs.model, inputs.processor, spent)


def _score(model: Any, processor: Any, dataset: Any, identity: dict[str, str], path: Path, batch_size: int) -> None:
    """Score this process's share; when this returns, `path` holds the scores of all rows."""
    from importlib.metadata import version

    began = time.perf_counter()
    with open_journal(path, identity) as log:
        score_share(model, processor, dataset, log, share(), batch_size=batch_size, progress=is_main())
        if is_main():
            records = all_records(log, len(dataset))
            spent = time.perf_counter() - began
            facts = {"byorn_version": version("byorn"), "dtype": str(model.dtype), "seconds": f"{spent:.3f}"}
            write_scores(path, from_records(records, {**identity, **facts}))
            say(f"scored {len(records)} rows in {seconds(spent)} ({len(records) / spent:.0f} rows/s)")
        else:
            wait_until(path.exists, log)
    log.discard()


def _finished_scores(path: Path, identity: dict[str, str], dataset: Any) -> Scores:
    scores = read_scores(path)
    require_same(scores.metadata, identity, path)
    if scores.keys != list(zip(dataset["id"], dataset["turn"], strict=True)):
        raise MismatchError(f"{path}: it is about other rows, or in another order; delete it and scan again")
    return scores


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
