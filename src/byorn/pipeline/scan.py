"""`byorn scan`: score every response under the pretrained model and flag the implausible ones. Nothing is trained."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from byorn.data.spec import DataSpec
from byorn.data.stored import keys_of
from byorn.evaluation.detection import detection, poisoned_among
from byorn.flagging.reports import DETECTION
from byorn.flagging.rules import described, flag, flagged_by
from byorn.flagging.settings import FlagSettings, check_rule
from byorn.flagging.table import FLAGS, Flags, keep_reviews, write_flags
from byorn.models.inputs import REJECTS, Inputs, load_inputs, open_rows
from byorn.models.sharding import wanted_layout
from byorn.models.spec import ModelSpec
from byorn.models.template import special_tokens
from byorn.pipeline.estimate import tell_scan
from byorn.pipeline.scores import require_room, score_rows
from byorn.report.run import Run, read_rejects, settings_in
from byorn.runs.alone import alone
from byorn.runs.folder import make_folder, read_json, write_config, write_environment, write_json
from byorn.runs.narrate import say
from byorn.runs.ranks import is_main
from byorn.runs.rejects import put_back_if_refused
from byorn.scoring.statistics import EVIDENCE
from byorn.scoring.table import SCORES, Scores
from byorn.text import clip

NEARLY_ALL = 0.9
"""Share of flagged rows from which on a rule is warned about."""


@dataclass(frozen=True)
class ScanResult:
    """What a scan came to.

    Attributes:
        inputs: Rows, and the model that has scored them.
        scores, flags: Of the rows, in their order.
        statistic: What is flagged by.
    """

    inputs: Inputs
    scores: Scores
    flags: Flags
    statistic: str

    @property
    def seconds(self) -> float:
        """What scoring took, in all sessions."""
        return float(self.scores.metadata.get("seconds", 0))


def scan(
    data: DataSpec,
    model: ModelSpec,
    out: Path,
    settings: FlagSettings | None = None,
    *,
    truth: Collection[tuple[str, int]] | None = None,
    dry_run: bool = False,
) -> ScanResult | None:
    """Score and flag a data set into `out`: `scores.parquet`, `flags.parquet`, `rejects.jsonl`, `config.yaml`,
    `environment.json`.

    Finished work in `out` is used again if it belongs to this data and model: a whole score file, or the journal of a
    killed run. A person's review words in an earlier `flags.parquet` are kept. Under torchrun each process scores its
    shard of the rows, and all of them return the same result.

    Args:
        data, model: What is scored, and by what.
        out: The run folder.
        settings: Who is flagged.
        truth: Who is known to be poisoned, for `compare_with_truth`; it must be about these rows.
        dry_run: Stop before anything is scored, when everything is checked and said; returns None.

    Raises:
        ByornError: The data or the model cannot be used, `out` belongs to others, or another run is at work there.
    """
    settings = settings or FlagSettings()
    check_rule(settings)
    make_folder(out)
    with alone(out):
        with put_back_if_refused(out / REJECTS):
            opened = open_rows(data, model, out)
            if truth is not None:
                poisoned_among(keys_of(opened.loaded.rows), truth)  # a wrong one costs no scan
            inputs = load_inputs(opened, wanted_layout())
            require_room(out / SCORES, inputs)
            tell_scan(inputs, settings.score_batch_size, dry_run, flagged_by(settings))
            if dry_run:
                return None
        write_config(out, {"command": "scan", "data": data, "model": model, "flagging": settings})
        return score_and_flag(inputs, out, settings)


def score_and_flag(inputs: Inputs, out: Path, settings: FlagSettings) -> ScanResult:
    """What `scan` does once the rows and the model are in memory."""
    scores = score_rows(inputs, out / SCORES, flagged_by(settings), settings.score_batch_size)
    result = ScanResult(inputs, scores, _flags(scores, settings, out / FLAGS), flagged_by(settings))
    write_environment(
        out, **inputs.identity, rows=len(inputs.rows), rejects=inputs.rejects, seconds=result.seconds,
        special_tokens=sorted(special_tokens(inputs.processor)),
    )  # fmt: skip
    return result


def _flags(scores: Scores, settings: FlagSettings, path: Path) -> Flags:
    flags = keep_reviews(flag(scores, settings), path)
    if is_main():
        write_flags(path, flags)
    count = int(flags.flagged.sum())
    unscored = int(np.isnan(scores.values[flagged_by(settings)]).sum())
    say(f"flagged {count} of {len(flags)} rows: {described(flags)}")
    if unscored:
        say(f"  {unscored} row(s) could not be scored and are flagged too; see the reason column of scores.parquet")
    if count > NEARLY_ALL * len(flags):
        say("  warning: nearly every row is flagged, so hardly any response is learned; look at the scores")
    return flags


def as_run(result: ScanResult, out: Path) -> Run:
    """The scan as a report wants it."""
    return Run(
        folder=out,
        rows=result.inputs.rows,
        scores=result.scores,
        flags=result.flags,
        statistic=result.statistic,
        rejects=read_rejects(out / REJECTS),
        config=settings_in(out),
        environment=read_json(out / "environment.json") or {},
        earlier=result.inputs.earlier,
    )


def show_ends(result: ScanResult, count: int = 10) -> str:
    """The least and the most plausible responses by what is flagged by, as plain tables: score, where the row stands,
    response.
    """
    values = result.scores.values[result.statistic]
    order = np.argsort(-np.where(np.isnan(values), np.inf, values), kind="stable")
    count = min(count, len(order))
    ends = {"least plausible": order[:count], "most plausible": order[::-1][:count]}
    return "\n\n".join("\n".join(_listed(title, result, rows)) for title, rows in ends.items())


def _listed(title: str, result: ScanResult, rows: np.ndarray) -> list[str]:
    shown = [result.inputs.rows[number] for number in rows]
    names = [clip(row.id + (f" turn {row.turn}" if row.turn else ""), 120) for row in shown]
    width = max([len("row"), *map(len, names)])
    score = EVIDENCE if result.statistic == EVIDENCE else "nats/token"
    values = result.scores.values[result.statistic][rows]
    return [
        title,
        f"{score:>10}  {'row':<{width}}  response",
        *(
            f"{value:>10.3f}  {name:<{width}}  {clip(row.response, 90)}"
            for value, name, row in zip(values, names, shown, strict=True)
        ),
    ]


def compare_with_truth(result: ScanResult, truth: Collection[tuple[str, int]], out: Path) -> str:
    """How well scores and flags find the rows that are known to be poisoned, in one line; `detection.json` holds
    more.
    """
    found = detection(result.scores, result.flags, truth, result.statistic)
    write_json(out / DETECTION, asdict(found))
    low, high = found.recall_interval
    return (
        f"against the truth: AUC {found.auc:.4f}; flagged are {found.recall:.1%} [{low:.1%}, {high:.1%}] of "
        f"{found.poisoned} poisoned "
        f"and {found.false_flag_share:.1%} of {found.clean} clean rows"
    )
