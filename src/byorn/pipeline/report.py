"""`byorn report`: what a scan found, as a page for people and two files for machines. No torch."""

import json
from pathlib import Path

from byorn.report.document import as_document
from byorn.report.evidence import Evidence, gather
from byorn.report.html import as_html
from byorn.report.run import Run, read_run
from byorn.report.sarif import as_sarif
from byorn.report.verdict import judge
from byorn.runs.atomic import atomic_path
from byorn.runs.narrate import say
from byorn.runs.ranks import is_main

FILES = ("report.html", "report.json", "report.sarif")


def report(folder: Path, moved: Path | None = None) -> Evidence:
    """Write the report of a run folder into it, and say the verdict.

    Args:
        folder: Of a scan.
        moved: Where the data set is now; None where the scan found it.

    Raises:
        ByornError: A file is missing or damaged, or the data has changed.
    """
    say(f"reading {folder}")
    return write_report(read_run(folder, None if moved is None else str(moved)))


def write_report(run: Run, *, files: bool = True) -> Evidence:
    """The same for a run in memory; without `files` the verdict is only said."""
    evidence = gather(run, lambda line: say(f"  {line}"))
    if is_main() and files:
        _write(run.folder / "report.html", as_html(evidence))
        _write(run.folder / "report.json", _json(as_document(evidence)))
        _write(run.folder / "report.sarif", _json(as_sarif(evidence)))
    verdict = judge(evidence)
    say(verdict.sentence, stands_out=verdict.stands_out, share=evidence.share)
    return evidence


def _json(content: object) -> str:
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")
