"""byorn report: what a scan found, as a page for people and two files for machines."""

from pathlib import Path

from byorn.cli.arguments import Command, Positional, Values
from byorn.pipeline.settings import ReportSpec
from byorn.runs.settings import Common
from byorn.settings import build


def run(values: Values) -> None:
    spec = build(ReportSpec, values)

    from byorn.pipeline.report import FILES, report
    from byorn.report.gates import check_gates, parse_gate

    folder = Path(str(values["run"]))
    gates = [parse_gate(text) for text in spec.fail_on]
    evidence = report(folder, spec.moved)
    print("\n".join(str(folder / name) for name in FILES))
    check_gates(gates, evidence)


COMMAND = Command(
    run=run,
    settings=(ReportSpec, Common),
    example="byorn report runs/scan --fail-on cluster",
    positionals=(Positional(name="run", help="folder of byorn scan"),),
)
