"""The settings of `byorn review`."""

from dataclasses import dataclass
from pathlib import Path

from byorn.errors import ConfigError
from byorn.settings import below, check_settings, not_empty, setting


@dataclass(frozen=True, kw_only=True)
class ReviewSpec:
    """How people decide (one of --export, --import, --serve)."""

    export_to: Path | None = setting(
        None, option="export", help="write the flagged rows that nobody decided about into a CSV file", metavar="FILE"
    )
    import_from: Path | None = setting(
        None, option="import", help="read decisions from the review column of such a file", metavar="FILE"
    )
    serve: bool = setting(False, help="open a page on this computer alone, to decide by single keys")
    everything: bool = setting(False, option="all", help="export all rows, those first that are to be decided")
    who: str | None = setting(
        None, help="who decides, for the log", metavar="NAME", shown="the name of the account", check=not_empty
    )
    group_by: str | None = setting(
        None, help="serve: column of the data that comes first among the filters", metavar="COLUMN",
        shown="source or uploader, where the data have one",
    )  # fmt: skip
    port: int = setting(0, help="serve: port of the page", check=below(65536), shown="a free one")

    def __post_init__(self) -> None:
        check_settings(self)
        if self.everything and not self.export_to:
            raise ConfigError("all: it says which rows are exported; give --export FILE as well, or leave it out")
        for name in ("group_by", "port"):
            if getattr(self, name) and not self.serve:
                raise ConfigError(f"{name}: it is of the page; give --serve as well, or leave it out")
