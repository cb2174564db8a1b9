"""The files that lie beside flags and tell of them: where the flags change, they go first."""

from pathlib import Path

from byorn.runs.folder import read_json, sha256_of
from byorn.runs.narrate import say

REPORT = ("report.html", "report.json", "report.sarif")
CYCLONEDX = "report.cdx.json"
COMPARISON = ("comparison.html", "comparison.json")
DETECTION = "detection.json"
"""How well a scan finds what is known to be poisoned."""


def remove_reports(folder: Path) -> None:
    """Remove what was reported of earlier flags, which a pipeline would take for a report of those to come."""
    left = [folder / name for name in (*REPORT, CYCLONEDX, *COMPARISON, DETECTION) if (folder / name).exists()]
    for path in left:
        path.unlink()
    if left:
        say(f"removed {', '.join(path.name for path in left)}: about other flags than those that are here now")


def report_is_older(folder: Path) -> bool:
    """Whether the report in a folder was made from other flags than those beside it: decisions have come since."""
    facts = (read_json(folder / "report.json") or {}).get("provenance")
    flags = folder / "flags.parquet"
    return isinstance(facts, dict) and flags.is_file() and facts.get(f"SHA-256 of {flags.name}") != sha256_of(flags)
