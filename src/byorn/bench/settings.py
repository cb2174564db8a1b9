"""What the bench is asked, declared once. No torch here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from byorn.errors import ConfigError
from byorn.settings import at_least, below, check_settings, each, positive, setting

_MOST_GPUS = 1024
"""Of one range."""
_SIDE = 448


def _shares(values: tuple[float, ...]) -> str | None:
    return each(below(1, 1e-9))(values) if values else "is empty; name one, such as 0.4"


@dataclass(frozen=True, kw_only=True)
class BenchSpec:
    """Experiments and their results."""

    experiments: Path = setting(Path("benchmarks/experiments"), help="experiment files", metavar="DIR")
    results: Path = setting(Path("benchmarks/results"), help="result files, tables and plots", metavar="DIR")
    work: Path = setting(Path("runs/bench"), help="data, adapters and predictions; safe to delete", metavar="DIR")
    only: str = setting("*", help="run: cells whose EXPERIMENT/CELL fits, as in a shell", metavar="PATTERN")
    part: str = setting("", help="run: a share of the groups, I/N with I from 0", shown="all", metavar="I/N")
    jobs: int = setting(1, help="run: processes at a time", check=positive)
    gpus: str = setting("", help="run: GPUs, one for each process: 0-7, or 0,2,5", shown="all see all", metavar="LIST")
    format: str | None = setting(
        None, help="table: markdown, html or json; plot: svg or png", shown="markdown, svg", metavar="NAME"
    )

    def __post_init__(self) -> None:
        check_settings(self)
        _ = self.numbers, self.share

    @property
    def share(self) -> tuple[int, int]:
        """The groups i, i + n, i + 2 n, ... as (i, n).

        Raises:
            ConfigError: That is no share.
        """
        first, slash, count = self.part.partition("/")
        if not self.part:
            return 0, 1
        if not (slash and first.isdecimal() and count.isdecimal() and int(first) < int(count)):
            raise ConfigError(f"part: {self.part!r} is no share; write 0/4, 1/4, 2/4 or 3/4, for four of them")
        return int(first), int(count)

    @property
    def numbers(self) -> list[int]:
        """The GPUs, in the order given.

        Raises:
            ConfigError: That is no list of numbers, or one comes twice.
        """
        parts = [part.partition("-") for part in self.gpus.split(",") if part.strip()]
        try:
            spans = [range(int(first), int(last if dash else first) + 1) for first, dash, last in parts]
        except ValueError:
            raise ConfigError(f"gpus: {self.gpus!r} is no list of numbers; write 0-7, or 0,2,5") from None
        if any(not 0 < len(span) <= _MOST_GPUS for span in spans):
            raise ConfigError(f"gpus: {self.gpus!r} names none, or too many; write 0-7, or 0,2,5")
        found = [gpu for span in spans for gpu in span]
        if len(set(found)) < len(found):
            raise ConfigError(f"gpus: {self.gpus!r} names one twice; each process gets its own")
        return found


@dataclass(frozen=True, kw_only=True)
class SpeedSpec:
    """What is measured.

    Without rows of your own (`--data drawn`) they are captions of drawn scenes, or made to a number of tokens.
    """

    shares: tuple[float, ...] = setting(
        (0.1, 0.4, 0.6), help="shares of the rows that are flagged, at random", metavar="LIST", check=_shares
    )
    blocks: tuple[int, ...] = setting(
        (1, 8), help="flagged steps that are sampled together (K)", metavar="LIST", check=each(positive)
    )
    repeats: int = setting(2, help="turns: each runs all arms once", metavar="N", check=positive)
    rows: int = setting(256, help="rows that are drawn or made", metavar="N", check=at_least(16))
    response_tokens: tuple[int, ...] = setting(
        (), help="make rows whose responses have so many tokens, as sampled ones then may have", metavar="LIST",
        check=each(positive), shown="captions of drawn scenes",
    )  # fmt: skip
    images_per_row: tuple[int, ...] = setting(
        (1,), help="images of each of the made rows", metavar="LIST", check=each(positive)
    )
    image_side: int = setting(_SIDE, help="width and height of made images, in pixels", metavar="N", check=at_least(56))
    shape: Literal["tiny", "small", "qwen2.5-vl-3b"] | None = setting(
        None, help="random weights in these sizes instead of a model: nothing is downloaded"
    )
    no_scan: bool = setting(False, help="measure training only")
    table: bool = setting(False, help="print the tables of what lies in --out, and measure nothing")

    def __post_init__(self) -> None:
        check_settings(self)
        made = self.shape or self.images_per_row != (1,) or self.image_side != _SIDE
        if made and not self.response_tokens:
            raise ConfigError(
                "response_tokens: for --shape, --images-per-row and --image-side rows are made; say how many tokens "
                "their responses have, such as 30,200"
            )
