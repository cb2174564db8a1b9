"""The settings of `byorn simulate`."""

from dataclasses import dataclass

from byorn.settings import below, check_settings, setting


@dataclass(frozen=True, kw_only=True)
class SimulateSpec:
    """What is planted."""

    attacks: tuple[str, ...] = setting(
        (
            "badnets:sentence",
            "blended:sentence",
            "dual-key:word",
            "badnets-t:fixed",
            "badnets:insertion",
            "badnets:suffix",
            "badnets:refusal",
            "badnets:token-swap",
        ),
        help="what is planted, one after the other: TRIGGER:OBJECTIVE or TRIGGER:OBJECTIVE:TARGET of byorn poison, "
        "joined by commas",
        metavar="NAMES",
    )
    rate: float = setting(0.01, help="share of all rows that each attack poisons", check=below(1, 1e-9))
    seed: int = setting(0, help="seed of the rows that are drawn, and of every choice of an attack", check=below(2**32))

    def __post_init__(self) -> None:
        check_settings(self)
