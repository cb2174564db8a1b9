"""What the page shows, made from the evidence: texts in pieces, pictures as data URIs, plots as marks."""

from dataclasses import dataclass, field

from byorn.report.cards import Card, make_card, spread
from byorn.report.columns_shown import ColumnShown, show_column
from byorn.report.evidence import Evidence
from byorn.report.findings_shown import FindingShown, show_finding
from byorn.report.kinds import unexplained
from byorn.report.plots import Histogram, histogram
from byorn.report.simulation_shown import SimulationShown, show_simulation
from byorn.report.verdict import Verdict, judge
from byorn.report.visible import Piece, pieces, plain
from byorn.report.words import higher_means, number, percent
from byorn.scoring.evidence import LEVEL, WAYS
from byorn.scoring.statistics import EVIDENCE, unit_of

FINDINGS = 6
COLUMNS = 12
KINDS = 12
LEAST = {
    False: "What the pretrained model would have said least.",
    True: "Most speaks against them, by themselves or by the rows that say the same.",
}
"""What the rows with the highest scores are; True for evidence."""
BY_CHANCE = {
    False: "The line stands at a share of the rows, so clean data have rows right of it just as well.",
    True: f"Clean data have a row right of the line about once in {number(round(1 / (WAYS * LEVEL)))} sets.",
}
"""What the threshold means where nothing is planted."""


@dataclass(frozen=True, kw_only=True)
class KindShown:
    """A kind of input."""

    instruction: list[Piece]
    rows: str
    flagged: str
    explained: str
    doubtful: bool


@dataclass(frozen=True, kw_only=True)
class Page:
    """Everything that the template needs."""

    title: str
    verdict: Verdict
    facts: list[tuple[str, str]]
    histogram: Histogram
    statistic: str
    unit: str
    further: str
    least_are: str
    threshold: str
    by_chance: str
    rule: str
    findings: list[FindingShown]
    findings_left_out: int
    columns: list[ColumnShown]
    kinds: list[KindShown]
    kinds_left_out: int
    marked_word: str
    least: list[Card]
    most: list[Card]
    simulation: SimulationShown | None
    rejects: list[tuple[list[Piece], str]] = field(default_factory=list)
    reviews: str
    looked_closer: bool
    provenance: list[tuple[str, list[Piece]]]


def make_page(evidence: Evidence) -> Page:
    """The page of the evidence; it opens the images that it shows, and no others."""
    distribution = evidence.distribution
    by_evidence = distribution.statistic == EVIDENCE
    source = evidence.provenance.get("data", "")
    return Page(
        title=_title(source),
        verdict=judge(evidence),
        facts=_facts(evidence),
        histogram=histogram(distribution),
        statistic=distribution.statistic,
        unit=unit_of(distribution.statistic),
        further=higher_means(distribution.statistic),
        least_are=LEAST[by_evidence],
        threshold=f"{distribution.threshold:.2f}",
        by_chance=BY_CHANCE[by_evidence],
        rule=distribution.rule,
        findings=[show_finding(evidence, finding) for finding in evidence.findings[:FINDINGS]],
        findings_left_out=max(0, len(evidence.findings) - FINDINGS),
        columns=[show_column(column) for column in evidence.columns[:COLUMNS]],
        kinds=_kinds(evidence)[:KINDS],
        kinds_left_out=max(0, len(evidence.kinds) - KINDS),
        marked_word="stand out" if evidence.findings else "flagged",
        least=[make_card(evidence, row) for row in evidence.least_plausible],
        most=[make_card(evidence, row) for row in evidence.most_plausible[: len(evidence.least_plausible) // 2]],
        simulation=show_simulation(evidence.simulation),
        rejects=[(pieces(reason, 200), number(count)) for reason, count in evidence.reject_reasons],
        reviews=str(evidence.reviews),
        looked_closer=bool(evidence.run.closer),
        provenance=[(name, pieces(value, 2000)) for name, value in evidence.provenance.items()],
    )


def shown_rows(evidence: Evidence, most: int) -> list[int]:
    """Numbers of the suspicious rows that the page shows: first those of the clearest group, then the least plausible
    ones, then those of other groups.
    """
    groups = [list(spread(finding.cluster.rows)) for finding in evidence.findings[:FINDINGS]]
    ordered = [*(groups[0] if groups else []), *evidence.least_plausible, *(row for rows in groups[1:] for row in rows)]
    return list(dict.fromkeys(ordered))[:most]


def _kinds(evidence: Evidence) -> list[KindShown]:
    doubtful = unexplained(evidence.kinds)
    return [
        KindShown(
            instruction=pieces(kind.instruction, 160),
            rows=number(kind.rows),
            flagged=number(kind.flagged),
            explained="" if kind.explained is None else percent(max(0.0, kind.explained)),
            doubtful=kind in doubtful,
        )
        for kind in evidence.kinds
    ]


def _title(source: str) -> str:
    """The name of the data set, with its folder where it is a file."""
    parts = [part for part in source.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    return plain("/".join(parts[-2:]), 80) or "data set"


def _facts(evidence: Evidence) -> list[tuple[str, str]]:
    counts = evidence.counts
    found = [
        (number(counts.rows), "rows scored"),
        (number(counts.standing_out), "stand out"),
        (number(counts.flagged), "flagged by the rule"),
        (number(counts.rejected), "records rejected"),
    ]
    if counts.expected is not None and counts.least is not None:
        bound = f", at least {number(counts.least)}" if counts.least else ""
        found.insert(3, (f"{counts.expected:,.1f}", f"poisoned rows expected{bound}"))
    return [*found, (number(counts.unscored), "could not be scored")] if counts.unscored else found
