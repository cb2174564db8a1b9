"""byorn train: fine-tune with LoRA, replacing flagged responses by the model's own.

Any field of TRL's SFTConfig can stand in the YAML file, or be given as `--set name=value`; a YAML file for `trl sft` or
`llamafactory-cli train` can be used as it is.
"""

from pathlib import Path

from byorn.cli.arguments import Command, Values
from byorn.cli.foreign_keys import refuse_slips
from byorn.cli.foreign_tables import IGNORED, ONLY, REFUSED, RENAMED
from byorn.cli.next_step import tell_next
from byorn.cli.values import fields_set
from byorn.data.spec import DataSpec
from byorn.errors import ConfigError
from byorn.models.spec import LoraSpec, ModelSpec
from byorn.pipeline.settings.hub import HubSpec
from byorn.pipeline.settings.train import TrainSpec
from byorn.runs.settings import Common, Output
from byorn.settings import build, settings_of
from byorn.training.limits import check_numbers
from byorn.training.settings import ByornSettings, TrainerOptions

_UNFIT = {**{key: fix for key, (_, fix) in ONLY.items()}, **IGNORED, **REFUSED}


def run(values: Values) -> None:
    data = build(DataSpec, values)
    model = build(ModelSpec, values)
    spec = build(TrainSpec, values, lora=build(LoraSpec, values), arguments=training_arguments(values))
    hub = build(HubSpec, values)
    out = build(Output, values).out

    from byorn.pipeline.train import train
    from byorn.runs.ranks import is_main
    from byorn.scoring.table import SCORES
    from byorn.training.push import push_adapter, require_push

    if hub.push_to_hub:
        require_push(hub.push_to_hub)
    summary = train(data, model, out, spec)
    if summary is None:
        return
    print(f"{out / 'adapter'}\n{out / 'training.json'}")
    if hub.push_to_hub and is_main():
        print(push_adapter(out / "adapter", hub.push_to_hub, private=hub.hub_private or None))
    if summary.flagged and (out / SCORES).exists():
        tell_next(["verify", out])


def training_arguments(values: Values) -> dict[str, object]:
    """Fields of `ByornConfig`: what has an option of its own, and the rest.

    Raises:
        ConfigError: A value is wrong, or a field is none that `byorn train` takes.
    """
    arguments = fields_set(values)
    for name, value in arguments.items():
        if name in _UNFIT:
            raise ConfigError(f"--set {name}: {_UNFIT[name]}")
        if name in RENAMED:
            raise ConfigError(f"--set {name}: here it is called {RENAMED[name]}")
        if name.endswith("_strategy") and value is False:  # YAML reads the word no as false
            arguments[name] = "no"
    refuse_slips(arguments, COMMAND.names())
    check_numbers(arguments)
    for kind in (ByornSettings, TrainerOptions):
        build(kind, values)
        arguments |= {item.name: values[name] for name, item, _ in settings_of(kind) if values.get(name) is not None}
    return arguments


COMMAND = Command(
    run=run,
    settings=(Output, DataSpec, ModelSpec, LoraSpec, HubSpec, ByornSettings, TrainSpec, TrainerOptions, Common),
    example="byorn train --model Qwen/Qwen2.5-VL-7B-Instruct --data data/train.json --out runs/safe --lr 1e-4 "
    "--epochs 1 --set bf16=true",
    defaults={"out": Path("runs/train")},
    aliases={"lr": "learning_rate", "epochs": "num_train_epochs", "batch_size": "per_device_train_batch_size"},
    training=TrainerOptions,
)
