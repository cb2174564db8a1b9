"""Cases for defenses: tiny rows and a tiny model in memory."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from byorn.data.dataset import to_dataset
from byorn.defenses.plan import Case, Tuned, trust_all
from byorn.flagging.settings import FlagSettings
from byorn.flagging.table import Flags
from byorn.pipeline.scan import score_and_flag
from byorn.testing import tiny_rows

IDENTITY = {"data": "d", "model": "tiny", "model_digest": "m", "processor_digest": "p"}


def tiny_case(
    folder: Path, model: Any, processor: Any, rows: Any = None, name: str = "defense", **changes: Any
) -> Case:
    """A case whose tuned model is the pretrained one, so that nothing has to be trained."""
    rows = tiny_rows(12) if rows is None else rows
    values = {
        "rows": rows, "dataset": to_dataset(rows), "model": model, "processor": processor, "identity": IDENTITY,
        "rejects": 0,
        "folder": folder, "files": folder / name, "seed": 3, "batch_size": 5,
        "fine_tuned": lambda _: nullcontext(Tuned(model, 1.5)),
    }  # fmt: skip
    case = Case(scored=lambda: (trust_all(rows), 0.0), **{**values, **changes})
    return replace(case, scored=lambda: scored(case))


def scored(case: Case, percentile: float = 0.6) -> tuple[Flags, float]:
    """As `byorn train` hands it in: the flags of a scan into the run folder."""
    settings = FlagSettings(rule="paper", percentile=percentile, score_batch_size=case.batch_size)
    result = score_and_flag(case, case.folder, settings)
    return result.flags, result.seconds
