"""The settings of `byorn evaluate`: what is measured, and the attack."""

from dataclasses import dataclass

from byorn.errors import ConfigError
from byorn.pipeline.settings.common import Answering
from byorn.settings import check_settings, setting
from byorn.text import shown


@dataclass(frozen=True, kw_only=True)
class EvaluateSpec(Answering):
    """What is measured."""

    adapter: str | None = setting(None, help="LoRA adapter to put on the model", metavar="DIR")
    metrics: tuple[str, ...] = setting(
        ("cider",),
        help="utility metrics, joined by commas: cider, bleu, rouge_l, exact_match, normalized_exact_match, "
        "vqa_accuracy, or one of a plugin",
    )

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class TriggeredSpec:
    """The attack (--triggered and --target go together)."""

    triggered: str | None = setting(
        None, help="test rows with the trigger and their true responses (byorn poison --keep-responses)", metavar="PATH"
    )
    convention: str | None = setting(
        None, help="what counts as a success: substring, exact, backdoorvlm, vltrojan, dualkey, ...",
        shown="the rule of the objective that byorn poison wrote down beside --triggered, or substring",
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_settings(self)
        if self.convention and not self.triggered:
            raise ConfigError(
                f"convention: {shown(self.convention)} judges the answers to --triggered; give such rows, or leave it "
                "out"
            )
