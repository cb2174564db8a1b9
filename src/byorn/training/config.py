"""`ByornConfig`: everything of TRL's `SFTConfig`, and what byorn adds."""

from dataclasses import dataclass, field
from typing import Any

from transformers.integrations import get_available_reporting_integrations
from transformers.trainer_utils import HubStrategy
from trl import SFTConfig

from byorn.errors import ConfigError

REPLACEMENTS = ("ema", "drop")


@dataclass
class ByornConfig(SFTConfig):
    """Configuration of a `ByornTrainer`; any `SFTConfig` argument keeps its meaning.

    `max_length` is None here: SFTConfig's 1024 cuts long responses away without a word.

    Raises:
        ConfigError: A value is out of range; the message names the fix.
    """

    percentile: float = field(
        default=0.6,
        metadata={
            "help": "Share of rows, the most plausible ones, whose responses are trusted (the paper's p). Lower is safer and slower."
        },
    )
    replacement: str = field(
        default="ema",
        metadata={
            "help": "What happens to flagged rows: 'ema' replaces their responses by samples of the averaged model, 'drop' leaves the rows out."
        },
    )
    ema_decay: float = field(
        default=0.99,
        metadata={
            "help": "Decay of the moving average, per optimizer step. Its memory is 1 / (1 - decay) steps; keep that below the run's length."
        },
    )
    response_temperature: float = field(
        default=1.0,
        metadata={
            "help": "Temperature of the replacement responses; 1.0 (plain sampling) is what the theory asks for."
        },
    )
    response_top_p: float = field(
        default=1.0, metadata={"help": "Nucleus of the replacement responses; 1.0 keeps all of the distribution."}
    )
    soft_targets: bool = field(
        default=False,
        metadata={
            "help": "Flagged rows learn the averaged model's whole distribution at each sampled token, not that token alone: less noise, one more "
            "forward pass on their steps."
        },
    )
    max_response_tokens: int | None = field(
        default=None,
        metadata={"help": "Longest replacement response in tokens; None learns it from the trusted responses."},
    )
    response_batch_size: int | None = field(
        default=None,
        metadata={
            "help": "Rows sampled at once; it changes speed and memory only. None is 4, or the training batch if that is larger."
        },
    )
    score_batch_size: int = field(
        default=8,
        metadata={
            "help": "Rows a forward pass while scoring; it changes the speed only. Used when no flags are given."
        },
    )
    max_length: int | None = field(
        default=None,
        metadata={"help": "Longest sequence in tokens; None cuts nothing. Cutting may remove a whole response."},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(0 <= self.percentile <= 1, f"percentile: {self.percentile} is not between 0 and 1; the paper uses 0.6")
        _require(
            self.replacement in REPLACEMENTS,
            f"replacement: {self.replacement!r} is unknown; use one of {', '.join(REPLACEMENTS)}",
        )
        _require(0 <= self.ema_decay <= 1, f"ema_decay: {self.ema_decay} is not between 0 and 1; try 0.99")
        _require(
            self.response_temperature > 0, f"response_temperature: {self.response_temperature} is not above 0; use 1.0"
        )
        _require(0 < self.response_top_p <= 1, f"response_top_p: {self.response_top_p} is not in (0, 1]; use 1.0")
        _require(
            not self.soft_targets or (self.response_temperature, self.response_top_p) == (1, 1),
            "soft_targets: it wants plain samples; use response_temperature=1.0 and response_top_p=1.0",
        )
        _require(
            not self.soft_targets or (self.loss_type == "nll" and not self.label_smoothing_factor),
            "soft_targets: its loss is the plain one; leave loss_type and label_smoothing_factor out",
        )
        _require(
            self.max_response_tokens is None or self.max_response_tokens > 0,
            "max_response_tokens: use a positive number, or None",
        )
        _require(
            self.response_batch_size is None or self.response_batch_size > 0,
            "response_batch_size: use a positive number, or None",
        )
        _require(self.score_batch_size > 0, f"score_batch_size: {self.score_batch_size} is not positive; use 8")
        for name in ("packing", "padding_free"):
            _require(not getattr(self, name), f"{name}: not possible where rows have images; leave it out")
        _require(self.pad_to_multiple_of is None, "pad_to_multiple_of: TRL cannot do it for these rows; leave it out")
        _require_trackers(self.report_to)
        if self.push_to_hub:
            self.hub_strategy = HubStrategy.END  # the others upload checkpoints


def _require_trackers(names: Any) -> None:
    known = get_available_reporting_integrations()
    for name in names:
        _require(
            name in known, f"report_to: {name!r} is not installed; install it, or use {' or '.join(['none', *known])}"
        )


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)
