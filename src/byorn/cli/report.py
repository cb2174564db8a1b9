"""byorn report: what a scan found, as a page for people and two files for machines; or how two scans differ."""

from pathlib import Path
from typing import TYPE_CHECKING

from byorn.cli.arguments import Command, Positional, Values
from byorn.errors import ConfigError
from byorn.flagging.reports import COMPARISON, REPORT
from byorn.pipeline.settings.report import ReportSpec
from byorn.runs.settings import Common
from byorn.settings import build

if TYPE_CHECKING:
    from byorn.report.comparison import Comparison


def run(values: Values) -> None:
    spec = build(ReportSpec, values)
    if "later" in values:
        _compare(Path(str(values["run"])), Path(str(values["later"])), spec)
        return

    from byorn.pipeline.report import report, write_cyclonedx
    from byorn.report.gates import check_gates, parse_gates

    folder = Path(str(values["run"]))
    gates = parse_gates(spec.fail_on)
    evidence = report(folder, spec.moved)
    print("\n".join(str(folder / name) for name in REPORT))
    if spec.cyclonedx:
        print(write_cyclonedx(evidence))
    check_gates(gates, evidence)


def _compare(before: Path, after: Path, spec: ReportSpec) -> None:
    if spec != ReportSpec(fail_on=spec.fail_on):
        raise ConfigError(f"report: of two scans only --fail-on is asked; byorn report {after} takes all options")

    from byorn.pipeline.report import report_comparison
    from byorn.report.gates import check_comparison, parse_gates

    gates = parse_gates(spec.fail_on, two=True)
    found = report_comparison(before, after)
    print(figures(found))
    print("\n".join(str(after / name) for name in COMPARISON))
    check_comparison(gates, found)


def figures(found: "Comparison", most: int = 8) -> str:
    """The counts, and the rows that changed their mind, as plain tables."""
    from byorn.report.comparison import flagged_in_words
    from byorn.text import clip

    pairing = found.pairing
    counts = {
        "in both": len(pairing.kept),
        "new": len(pairing.new),
        "gone": len(pairing.gone),
        "changed": len(found.changed),
        "changed their mind": len(found.flips),
    }
    lines = [f"{name:<20} {count:>9,}" for name, count in counts.items()]
    lines.append(flagged_in_words(found))
    for flip in found.flips[:most]:
        now = "flagged now" if found.after.unused[flip.pair.after] else "no longer flagged"
        old, new = found.before.values[flip.pair.before], found.after.values[flip.pair.after]
        name = clip(found.after.scores.ids[flip.pair.after], 40)
        lines.append(f"  {name:<40} {now:<18} {old:>8.3f} -> {new:<8.3f} {flip.why}")
    if len(found.flips) > most:
        lines.append(f"  ... and {len(found.flips) - most:,} more in comparison.json")
    return "\n".join(lines)


COMMAND = Command(
    run=run,
    settings=(ReportSpec, Common),
    example="byorn report runs/scan --fail-on cluster",
    aliases={"data": "moved"},  # as it is called in the other commands
    positionals=(
        Positional(name="run", help="folder of byorn scan; the earlier one where there are two"),
        Positional(
            name="later",
            help="folder of a scan of a later version of the data set: what is new, gone, and changed its mind since",
            optional=True,
        ),
    ),
)
