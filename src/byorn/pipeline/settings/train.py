"""The settings of `byorn train`, beside those of data, model, adapter, trainer and Hub."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from byorn.models.spec import LoraSpec
from byorn.pipeline.settings.common import DryRun
from byorn.settings import check_settings, positive, setting


@dataclass(frozen=True, kw_only=True)
class TrainSpec(DryRun):
    """How to fine-tune.

    Attributes:
        lora: The adapter.
        arguments: Fields of `ByornConfig`, and so of TRL's SFTConfig and transformers' TrainingArguments.
    """

    defense: str = setting(
        "byorn", metavar="NAME",
        help="byorn replaces flagged responses, byorn-f drops their rows, byorn-soft learns replacements with "
        "less noise, sft is none; baselines: "
        "base-relabel, oracle, random-drop, onion, onion-r, bye, tcap, robustit; or one of a plugin",
    )  # fmt: skip
    defense_options: Mapping[str, object] = setting(
        {}, option="defense_option", metavar="NAME=VALUE",
        help="an option of the defense (oracle: manifest=DIR; random-drop: share=0.4); the value is read as YAML",
    )  # fmt: skip
    scan: str | None = setting(
        None, help="folder of an earlier scan: its scores and reviews are used; none scores anew", metavar="DIR",
        shown="a scan of the same data and model beside --out, if there is one",
    )  # fmt: skip
    eval_data: str | None = setting(
        None, help="evaluation rows, in any format of --data; the loss on them is logged", metavar="PATH"
    )
    val_size: float | None = setting(
        None, help="rows held out for evaluation instead: a number, or a share below 1", check=positive
    )
    lora: LoraSpec = field(default_factory=LoraSpec)
    arguments: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_settings(self)
