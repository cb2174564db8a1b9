"""byorn push: upload a trained adapter and its card to the Hugging Face Hub, and nothing else of the run."""

from pathlib import Path

from byorn.cli.arguments import Command, Values
from byorn.pipeline.settings.hub import PushSpec
from byorn.settings import build


def run(values: Values) -> None:
    from byorn.training.push import push_adapter, require_push

    spec = build(PushSpec, values)
    require_push(spec.to)
    print(push_adapter(Path(spec.adapter), spec.to, private=spec.private or None))


COMMAND = Command(run=run, settings=(PushSpec,), example="byorn push --adapter runs/safe/adapter --to owner/name")
