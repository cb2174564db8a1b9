"""byorn review: decide about single rows of a scan, in a spreadsheet or on a page on this computer."""

from pathlib import Path

from byorn.cli.arguments import Command, Values
from byorn.cli.next_step import tell_next
from byorn.cli.of_run import DATA_AND_MODEL, RUN, with_those_of_the_run
from byorn.data.spec import DataSpec
from byorn.models.spec import ModelSpec
from byorn.pipeline.settings.review import ReviewSpec
from byorn.runs.settings import Common
from byorn.settings import build


def run(values: Values) -> None:
    spec = build(ReviewSpec, values)
    values = with_those_of_the_run(values)

    from byorn.flagging.reports import report_is_older
    from byorn.pipeline.review import review

    folder = Path(str(values["run"]))
    review(folder, build(DataSpec, values), build(ModelSpec, values), spec)
    if not spec.export_to and report_is_older(folder):
        tell_next(["report", folder], first="its report is older than these decisions; ")


COMMAND = Command(
    run=run,
    settings=(ReviewSpec, DataSpec, ModelSpec, Common),
    example="byorn review runs/scan --serve",
    defaults=DATA_AND_MODEL,
    positionals=(RUN,),
)
