"""byorn demo: poison a small data set and watch plain fine-tuning fall for it, and byorn not.

Runs on the embedded model, on a CPU, in a few minutes.
"""

from pathlib import Path

from byorn.bench.demo import DemoSpec
from byorn.cli.arguments import Command, Values
from byorn.runs.settings import Common, OutputAnew
from byorn.settings import build


def run(values: Values) -> None:
    from byorn.bench.demo import demo

    demo(build(DemoSpec, values), build(OutputAnew, values).out)


COMMAND = Command(
    run=run,
    settings=(OutputAnew, DemoSpec, Common),
    example='byorn demo --seed 1 --target "visit our shop" --rate 0.05',
    defaults={"out": Path("runs/demo")},
    aliases={"lr": "learning_rate"},
)
