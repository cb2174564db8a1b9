"""The files that lie beside flags and tell of them: where the flags change, they go first."""

from pathlib import Path

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
