"""The settings of `byorn rewrite`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from byorn.errors import ConfigError
from byorn.settings import below, check_settings, setting


@dataclass(frozen=True, kw_only=True)
class RewriteSpec:
    """What becomes of flagged rows."""

    mode: Literal["drop", "replace", "mark"] = setting(
        help="drop moves their records into a quarantine, replace samples other responses for them, mark adds the "
        "columns byorn_flagged and byorn_score to all rows"
    )
    adapter: str | None = setting(
        None, help="replace: LoRA adapter whose responses are used, say of an earlier run", metavar="DIR",
        shown="none: the pretrained model's",
    )  # fmt: skip
    images: Literal["link", "copy", "leave"] = setting(
        "link", help="images of the data folder: a hard link costs no room, a copy stands alone, leave takes none along"
    )
    seed: int = setting(42, help="seed of the sampled responses", check=below(2**32))

    def __post_init__(self) -> None:
        check_settings(self)
        refuse_sampling(self.mode, self, ("adapter", "seed"))


def refuse_sampling(mode: str, settings: object, names: Sequence[str]) -> None:
    """Refuse settings by which `byorn rewrite` would sample, with a mode that samples nothing.

    Raises:
        ConfigError: One of these names has another value than its default.
    """
    for name in names:
        if mode != "replace" and getattr(settings, name) != getattr(type(settings), name):
            raise ConfigError(f"{name}: mode {mode} samples nothing; leave it out, or give --mode replace")
