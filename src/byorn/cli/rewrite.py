"""byorn rewrite: the data set of a scan again, in its own format, without what was flagged."""

from pathlib import Path

from byorn.cli.arguments import Command, Values
from byorn.cli.next_step import tell_next
from byorn.cli.of_run import DATA_AND_MODEL, RUN, with_those_of_the_run
from byorn.data.spec import DataSpec
from byorn.models.spec import ModelSpec
from byorn.pipeline.settings.rewrite import RewriteSpec
from byorn.runs.settings import Common, Output
from byorn.settings import build
from byorn.training.settings import ResponseSettings


def run(values: Values) -> None:
    out = build(Output, values).out
    spec = build(RewriteSpec, values)
    responses = build(ResponseSettings, values)
    values = with_those_of_the_run(values)

    from byorn.pipeline.rewrite import rewrite
    from byorn.pipeline.rewritten import DATA

    folder = Path(str(values["run"]))
    rewrite(folder, build(DataSpec, values), build(ModelSpec, values), out, spec, responses)
    print(out / DATA)
    if spec.mode != "mark":
        tell_next(["verify", folder, "--adapter", "ADAPTER"], first=f"train on {out / DATA}, then ")


COMMAND = Command(
    run=run,
    settings=(Output, RewriteSpec, ResponseSettings, DataSpec, ModelSpec, Common),
    example="byorn rewrite runs/scan --mode replace --out data/clean",
    defaults={"out": None, **DATA_AND_MODEL},
    positionals=(RUN,),
)
