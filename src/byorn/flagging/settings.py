"""The settings of scoring and flagging, the same for `byorn scan`, `byorn train`, the bench and a `ByornTrainer`. No
torch here.
"""

from dataclasses import dataclass
from typing import Literal

from byorn.settings import fraction, positive, setting

Statistic = Literal["nll", "nll_max", "nll_window", "contrast"]
"""The columns of `scores.parquet` that can be flagged by; a test compares them with `byorn.scoring.statistics`."""


@dataclass(kw_only=True)
class FlagSettings:
    """Who is flagged."""

    percentile: float = setting(
        0.6,
        help="share of rows, the most plausible ones, whose responses are trusted (the paper's p); lower is safer and "
        "slower",
        check=fraction,
    )
    statistic: Statistic = setting(
        "nll",
        help="score that is flagged by; nll is the paper's, contrast (with other images) takes a second pass",
    )
    score_batch_size: int = setting(
        8, help="rows a forward pass while scoring; it changes the speed only", check=positive
    )
