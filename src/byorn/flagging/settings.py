"""The settings of scoring and flagging, the same for `byorn scan`, `byorn train`, the bench and a `ByornTrainer`. No
torch here.
"""

from dataclasses import dataclass
from typing import Literal

from byorn.errors import ConfigError
from byorn.settings import fraction, positive, setting

Rule = Literal["evidence", "paper"]
Statistic = Literal["nll", "nll_max", "nll_window", "contrast"]
"""The columns of `scores.parquet` that can be flagged by; a test compares them with `byorn.scoring.statistics`."""


@dataclass(kw_only=True)
class FlagSettings:
    """Who is flagged."""

    rule: Rule = setting(
        "evidence",
        help="evidence flags groups of rows that say the same and stand out once the model has briefly adapted to the "
        "data's style; paper flags a fixed share of the rows, the least plausible ones",
    )
    percentile: float = setting(
        0.6,
        help="with rule paper: share of rows, the most plausible ones, whose responses are trusted (the paper's p); "
        "lower is safer and slower",
        check=fraction,
    )
    statistic: Statistic = setting(
        "nll",
        help="with rule paper: score that is flagged by; nll is the paper's, contrast (with other images) takes a "
        "second pass",
    )
    score_batch_size: int = setting(
        8, help="rows a forward pass while scoring; it changes the speed only", check=positive
    )


def check_rule(settings: FlagSettings) -> None:
    """Refuse what the rule would not look at.

    Raises:
        ConfigError: It is of the other rule.
    """
    for name in ("percentile", "statistic"):
        if settings.rule == "evidence" and getattr(settings, name) != getattr(FlagSettings, name):
            raise ConfigError(f"{name}: it belongs to rule paper; give rule paper as well, or leave it out")
