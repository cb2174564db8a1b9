"""byorn rewrite: the data set of a scan again, in its own format, without what was flagged."""

from pathlib import Path

from byorn.cli.arguments import Command, Positional, Values
from byorn.data.spec import DataSpec
from byorn.models.spec import ModelSpec
from byorn.pipeline.settings import RewriteSpec
from byorn.runs.settings import Common, Output
from byorn.settings import build, check_value, settings_of
from byorn.training.settings import ResponseSettings

AS_SCANNED = "as in the scan"
RUN = Positional(name="run", help="folder of a byorn scan, or of a training that scanned")


def as_scanned(*kinds: type) -> dict[str, object]:
    """Defaults that say so in the help: settings of data and model are those of the run."""
    return {option: AS_SCANNED for kind in kinds for option, _, _ in settings_of(kind)}


def with_those_of_the_run(values: Values) -> Values:
    """The values, and for settings of data and model that are not given those of the run."""
    from byorn.pipeline.scanned import values_of_run

    given = {name: value for name, value in values.items() if value != AS_SCANNED}
    for kind in (DataSpec, ModelSpec):
        for option, item, annotation in settings_of(kind):
            if option in given:  # before the run is looked at
                check_value(option, given[option], annotation, item.metadata["check"])
    return {**values_of_run(Path(str(values["run"]))), **given}


def run(values: Values) -> None:
    out = build(Output, values).out
    spec = build(RewriteSpec, values)
    responses = build(ResponseSettings, values)
    values = with_those_of_the_run(values)

    from byorn.pipeline.rewrite import DATA, rewrite

    folder = Path(str(values["run"]))
    rewrite(folder, build(DataSpec, values), build(ModelSpec, values), out, spec, responses)
    print(out / DATA)


COMMAND = Command(
    run=run,
    settings=(Output, RewriteSpec, ResponseSettings, DataSpec, ModelSpec, Common),
    example="byorn rewrite runs/scan --mode replace --out data/clean",
    defaults={"out": None, **as_scanned(DataSpec, ModelSpec)},
    positionals=(RUN,),
)
