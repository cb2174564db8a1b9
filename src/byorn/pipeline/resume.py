"""What an earlier `byorn train` left in its folder: whether it began, with which settings, and whether it has ended."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from byorn.errors import MismatchError
from byorn.flagging.table import FLAGS, read_flags
from byorn.pipeline.reuse import later_decisions
from byorn.pipeline.summary import TrainingSummary
from byorn.runs.folder import same_config
from byorn.runs.narrate import say
from byorn.training.checkpoints import any_checkpoint


def has_begun(out: Path, defense: str) -> bool:
    """Whether something of an earlier run in `out` would be used again."""
    return (out / "training.json").exists() or any_checkpoint(out / "checkpoints") or (out / defense).is_dir()


def require_same_settings(out: Path, settings: Mapping[str, Any]) -> None:
    """Refuse other settings than those of the run that has begun in `out`.

    Raises:
        MismatchError: Naming those that differ.
    """
    same_config(out, {key: value if isinstance(value, str) else asdict(value) for key, value in settings.items()})


def finished_training(out: Path, fingerprint: str, scan: str | None) -> TrainingSummary | None:
    """What a run told that has ended in `out`; a run ends with `training.json`, after its adapter.

    Raises:
        MismatchError: It was on other rows, or with other decisions about them than its folder, or `scan`, has now.
    """
    summary = TrainingSummary.read(out / "training.json")
    if summary is None or not (out / "adapter" / "adapter_model.safetensors").is_file():
        return None
    if summary.data != fingerprint:
        raise MismatchError(f"{out}: it is finished, and the data have changed since; use another --out")
    if _other_decisions(out / FLAGS, summary) or later_decisions(out, scan):
        raise MismatchError(f"{out}: it is finished, and decisions about rows have changed since; use another --out")
    say(
        f"finished before: {summary.steps} steps, adapter in {out / 'adapter'}; nothing to do "
        "(another run wants another --out)"
    )
    return summary


def _other_decisions(path: Path, summary: TrainingSummary) -> bool:
    """Whether flags hold other decisions than those that a run was trained with."""
    if not path.exists():
        return False
    now = read_flags(path)
    return asdict(now.reviews) != summary.reviews or summary.decided not in ("", now.decided)
