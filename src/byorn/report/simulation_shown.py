"""The part of the page about planted attacks: a line each, with a strip of where the planted rows stand."""

from dataclasses import dataclass

from byorn.evaluation.canaries import Sight
from byorn.report.simulation import Seen, Simulated, Simulation
from byorn.report.visible import Piece, pieces
from byorn.report.words import number, percent

WORDS: dict[Seen, str] = {
    "seen": "seen by the report",
    "already there": "in the data already",
    "flagged": "flagged only",
    "unseen": "not seen",
    "not planted": "not planted",
}
MOST_MARKS = 200
"""Planted rows drawn in a strip, at most; of more, every second, every third, ..."""


@dataclass(frozen=True, kw_only=True)
class Strip:
    """Where planted rows stand among the others, and where flags begin: percent of its width."""

    marks: list[float]
    threshold: float


@dataclass(frozen=True, kw_only=True)
class AttackShown:
    """A line of the table; `strip` is None where nothing was planted."""

    name: list[Piece]
    seen: Seen
    verdict: str
    strip: Strip | None
    planted: str = ""
    flagged: str = ""
    named: str = ""
    auc: str = ""


@dataclass(frozen=True, kw_only=True)
class SimulationShown:
    """The section: its table and its sentences."""

    rate: str
    attacks: list[AttackShown]
    sentences: list[list[Piece]]


def show_simulation(simulation: Simulation | None) -> SimulationShown | None:
    """What the page shows of a simulation."""
    if simulation is None:
        return None
    return SimulationShown(
        rate=percent(simulation.rate),
        attacks=[_attack(one) for one in simulation.attacks],
        sentences=[pieces(one.sentence, 600) for one in simulation.attacks],
    )


def _attack(one: Simulated) -> AttackShown:
    if one.sight is None or one.named is None:
        return AttackShown(name=pieces(one.name, 80), seen=one.seen, verdict=WORDS[one.seen], strip=None)
    found = one.sight
    low, high = found.flagged.interval
    return AttackShown(
        name=pieces(one.name, 80),
        seen=one.seen,
        verdict=WORDS[one.seen],
        strip=_strip(found),
        planted=number(found.flagged.n),
        flagged=f"{number(found.flagged.hits)} ({low:.0%} to {high:.0%})",
        named=number(one.named.planted),
        auc=f"{found.auc:.2f} ({found.auc_interval[0]:.2f} to {found.auc_interval[1]:.2f})",
    )


def _strip(found: Sight) -> Strip:
    places = sorted(found.percentiles)
    others = found.false_flags
    return Strip(
        marks=[round(place, 2) for place in places[:: 1 + len(places) // MOST_MARKS]],
        threshold=round(100 * (1 - others.hits / max(1, others.n)), 2),
    )
