"""The settings of every command."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from byorn.settings import check_settings, setting


@dataclass(frozen=True, kw_only=True)
class Output:
    """Output."""

    out: Path = setting(help="run folder; the same command goes on with a killed run", metavar="DIR")

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class OutputAnew(Output):
    """Output."""

    out: Path = setting(help="folder to write; after a kill the same command starts anew", metavar="DIR")


@dataclass(frozen=True, kw_only=True)
class Common:
    """All commands."""

    plugins: tuple[Path, ...] = setting(
        (), option="plugin", metavar="FILE", shown="none",
        help="Python file with attacks, defenses, metrics, tasks or model classes of your own; it is code and it "
        "runs, so read what others give you; "
        "can be given several times",
    )  # fmt: skip
    log_format: Literal["text", "json"] = setting(
        "text", help="standard error for people, or one JSON object a line for machines"
    )

    def __post_init__(self) -> None:
        check_settings(self)
