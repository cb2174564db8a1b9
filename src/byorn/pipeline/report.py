"""`byorn report`: what a scan found, as a page for people and two files for machines; or two scans compared. No
torch.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from byorn.errors import ConfigError
from byorn.flagging.reports import COMPARISON, CYCLONEDX, REPORT
from byorn.report.closer import Closer, Key
from byorn.report.comparison import Comparison, compare
from byorn.report.comparison_document import as_document as comparison_as_document
from byorn.report.document import as_document
from byorn.report.evidence import Evidence, gather
from byorn.report.html import as_html, comparison_as_html
from byorn.report.run import Run, read_run
from byorn.report.sarif import as_sarif
from byorn.report.verdict import judge
from byorn.report.versions import read_version
from byorn.runs.atomic import atomic_path
from byorn.runs.narrate import say
from byorn.runs.ranks import is_main


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


def write_report(
    run: Run, *, files: bool = True, look: Callable[[Evidence], Mapping[Key, Closer]] | None = None
) -> Evidence:
    """The same for a run in memory; without `files` the verdict is only said. `look` takes a closer look at rows."""
    evidence = gather(run, lambda line: say(f"  {line}"))
    if look is not None and is_main() and files:
        evidence = replace(evidence, run=replace(run, closer=look(evidence)))
    if is_main() and files:
        page, document, sarif = (run.folder / name for name in REPORT)
        _write(page, as_html(evidence))
        _write(document, _json(as_document(evidence)))
        _write(sarif, _json(as_sarif(evidence)))
    verdict = judge(evidence)
    say(verdict.sentence, stands_out=verdict.stands_out, share=evidence.share)
    return evidence


def report_comparison(before: Path, after: Path) -> Comparison:
    """Write what is new, gone and changed since an earlier scan into the folder of the later one, and say it.

    Args:
        before, after: Folders of scans of two versions of a data set.

    Raises:
        ByornError: A file is missing or damaged, or the two cannot be compared.
    """
    if before.resolve() == after.resolve():
        raise ConfigError(f"{after}: it is given twice; give the folders of two scans")
    say(f"comparing {after} with {before}")
    comparison = compare(read_version(before), read_version(after))
    page, document = (after / name for name in COMPARISON)
    _write(page, comparison_as_html(comparison))
    _write(document, _json(comparison_as_document(comparison)))
    for note in comparison.notes:
        say(f"  {note}")
    say(comparison.counts)
    say(comparison.sentence, arisen=comparison.arisen)
    return comparison


def write_cyclonedx(evidence: Evidence) -> Path:
    """`CYCLONEDX` beside the other files of a report.

    Raises:
        ConfigError: The extra `byorn[bom]` is not installed.
    """
    from byorn.report.cyclonedx import as_cyclonedx

    path = evidence.run.folder / CYCLONEDX
    _write(path, as_cyclonedx(evidence))
    return path


def _json(content: object) -> str:
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")
