"""byorn simulate: plant known attacks in a copy of the rows of a scan, to know what it can see before it is trusted."""

from pathlib import Path
from typing import TYPE_CHECKING

from byorn.cli.arguments import Command, Values
from byorn.cli.of_run import DATA_AND_MODEL, RUN, with_those_of_the_run
from byorn.data.spec import DataSpec
from byorn.models.spec import ModelSpec
from byorn.pipeline.settings.simulate import SimulateSpec
from byorn.runs.settings import Common, Output
from byorn.settings import build

if TYPE_CHECKING:
    from byorn.report.simulation import Simulated, Simulation

IN_RUN = "simulation in the folder of the run"
COLUMNS = ("attack", "planted", "flagged (recall)", "false flags", "AUC", "median percentile", "named", "so it is")


def run(values: Values) -> None:
    spec = build(SimulateSpec, values)
    folder = Path(str(values["run"]))
    out = folder / "simulation" if values["out"] == IN_RUN else build(Output, values).out
    values = with_those_of_the_run(values)

    from byorn.pipeline.simulate import simulate
    from byorn.report.simulation import FILE

    result = simulate(folder, build(DataSpec, values), build(ModelSpec, values), out, spec)
    print(table(result))
    print("\n" + "\n".join(one.sentence for one in result.attacks))
    print(f"\n{out / FILE}")


def table(result: "Simulation") -> str:
    """The figures as a plain table; brackets are 95 % intervals."""
    lines = [COLUMNS, *(_line(one) for one in result.attacks)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    rows = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    rows.insert(1, "-" * len(rows[0]))
    return "\n".join(rows)


def _line(one: "Simulated") -> tuple[str, ...]:
    if one.sight is None or one.named is None:
        return (one.name, "0", *[""] * (len(COLUMNS) - 3), one.seen)
    found = one.sight
    low, high = found.auc_interval
    return (
        one.name,
        str(found.flagged.n),
        str(found.flagged),
        str(found.false_flags),
        f"{found.auc:.3f} [{low:.3f}, {high:.3f}]",
        f"{found.median:.1f}",
        f"{one.named.planted} of {found.flagged.n}",
        one.seen,
    )


COMMAND = Command(
    run=run,
    settings=(Output, SimulateSpec, DataSpec, ModelSpec, Common),
    example="byorn simulate runs/scan --rate 0.02",
    defaults={"out": IN_RUN, **DATA_AND_MODEL},
    positionals=(RUN,),
)
