"""The settings of `byorn report`."""

from dataclasses import dataclass
from pathlib import Path

from byorn.pipeline.settings.common import Gated
from byorn.settings import check_settings, setting


@dataclass(frozen=True, kw_only=True)
class ReportSpec(Gated):
    """What is reported."""

    cyclonedx: bool = setting(False, help="write report.cdx.json too, a CycloneDX bill of materials (byorn[bom])")
    moved: Path | None = setting(
        None, help="where the data set is now, if it was moved", metavar="PATH", shown="where the scan found it"
    )

    def __post_init__(self) -> None:
        check_settings(self)
