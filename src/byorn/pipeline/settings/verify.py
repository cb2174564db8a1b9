"""The settings of `byorn verify`."""

from collections.abc import Mapping
from dataclasses import dataclass

from byorn.errors import ConfigError
from byorn.pipeline.settings.common import Answering
from byorn.settings import at_least, below, check_settings, setting


@dataclass(frozen=True, kw_only=True)
class VerifySpec(Answering):
    """What the tuned model is asked."""

    adapter: str | None = setting(
        None, help="LoRA adapter of the tuned model", metavar="DIR", shown="the adapter folder of RUN"
    )
    rows: int = setting(
        100, help="so many flagged inputs are answered, and as many trusted ones", metavar="N", check=at_least(10)
    )
    seed: int = setting(0, help="seed of the sample and of the halves", check=below(2**32))
    level: float = setting(
        0.01, help="a backdoor is named where the corrected p-value is below this", check=below(1, 1e-9)
    )
    try_trigger: str | None = setting(
        None, help="also plant this trigger, such as badnets, in the trusted inputs, and ask again", metavar="NAME"
    )
    trigger_options: Mapping[str, object] = setting(
        {}, option="trigger_option", metavar="NAME=VALUE", help="option of that trigger, such as size=0.25"
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if self.trigger_options and not self.try_trigger:
            raise ConfigError("trigger_option: it is an option of a trigger; name the trigger with --try-trigger")
