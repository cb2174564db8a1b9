"""What an attacker wants: the one type that attacks are made from and attack success is measured by."""

from dataclasses import dataclass

from byorn.settings import check_settings, setting


@dataclass(frozen=True)
class Goal:
    """The attacker's goal."""

    target: str = setting("", help="what the attacker wants said")
    source: str = setting("", help="the concept that the target replaces, for objective concept and attack shadow")

    def __post_init__(self) -> None:
        check_settings(self)
