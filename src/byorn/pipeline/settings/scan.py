"""The settings of `byorn scan`, beside those of data, model and flags."""

from dataclasses import dataclass
from pathlib import Path

from byorn.pipeline.settings.common import DryRun, Gated
from byorn.settings import at_least, check_settings, setting


@dataclass(frozen=True, kw_only=True)
class ScanSpec(DryRun, Gated):
    """What is shown of a scan."""

    no_report: bool = setting(False, help="write no report.html, report.json and report.sarif")

    show: int = setting(
        10, help="print so many rows of either end, least and most plausible", metavar="N", check=at_least(0)
    )
    look_closer: int = setting(
        24,
        help="so many suspicious rows of the report show how likely each token was, and what the pretrained model says",
        metavar="N", check=at_least(0),
    )  # fmt: skip
    truth: Path | None = setting(
        None,
        help="who is known to be poisoned: a folder of byorn poison, or a file with one id a line; flags are compared "
        "with it",
        metavar="PATH",
    )

    def __post_init__(self) -> None:
        check_settings(self)
