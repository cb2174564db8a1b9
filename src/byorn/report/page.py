"""What the page shows, made from the evidence: texts in pieces, pictures as data URIs, plots as marks."""

from dataclasses import dataclass, field

from byorn.patterns.images import Pattern
from byorn.report.cards import Card, make_card, spread
from byorn.report.clusters import Cluster
from byorn.report.columns import Column
from byorn.report.evidence import Evidence, Finding
from byorn.report.instructions import SharedText
from byorn.report.kinds import unexplained
from byorn.report.odds import Odds
from byorn.report.plots import Histogram, Whisker, histogram, whisker
from byorn.report.simulation_shown import SimulationShown, show_simulation
from byorn.report.thumbnails import picture
from byorn.report.verdict import Verdict, judge, p_in_table, p_in_words, pattern_in_words
from byorn.report.visible import Piece, name_of, pieces, plain
from byorn.report.words import higher_means, in_inputs, number, percent, short
from byorn.scoring.evidence import LEVEL, WAYS
from byorn.scoring.statistics import EVIDENCE, INSERTION, SHORTCUT, TRIGGER, unit_of

FINDINGS = 6
VALUES = 12
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
class SharedShown:
    """What instructions share."""

    kind: str
    text: list[Piece]
    title: str
    inside: str
    outside: str
    odds: str
    p_value: str


@dataclass(frozen=True, kw_only=True)
class PatternShown:
    """What images share: three pictures and a sentence."""

    headline: str
    strength: str
    inside: str
    outside: str
    difference: str


@dataclass(frozen=True, kw_only=True)
class FindingShown:
    """A cluster with its rows."""

    phrase: list[Piece]
    rows: str
    share: str
    facts: list[str]
    texts: list[SharedShown]
    patterns: list[PatternShown]
    cards: list[Card]


@dataclass(frozen=True, kw_only=True)
class ValueShown:
    """A line of a column's table."""

    value: list[Piece]
    rows: str
    marked: str
    share: float
    odds: str
    p_value: str
    whisker: Whisker
    guilty: bool


@dataclass(frozen=True, kw_only=True)
class ColumnShown:
    """A column's table."""

    name: list[Piece]
    values: list[ValueShown]
    left_out: int


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
        findings=[_finding(evidence, finding) for finding in evidence.findings[:FINDINGS]],
        findings_left_out=max(0, len(evidence.findings) - FINDINGS),
        columns=[_column(evidence, column) for column in evidence.columns[:COLUMNS]],
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
        found.insert(3, (f"{counts.expected:,.1f}", f"poisoned rows expected, at least {number(counts.least)}"))
    return [*found, (number(counts.unscored), "could not be scored")] if counts.unscored else found


def _finding(evidence: Evidence, finding: Finding) -> FindingShown:
    cluster = finding.cluster
    trigger = finding.texts[0].text if finding.texts else ""
    return FindingShown(
        phrase=pieces(cluster.phrase or in_inputs(cluster.statistic).capitalize(), 160),
        rows=number(len(cluster)),
        share=percent(len(cluster) / evidence.counts.rows),
        facts=_cluster_facts(evidence, cluster),
        texts=[_shared(shared) for shared in finding.texts],
        patterns=[_pattern(pattern) for pattern in finding.patterns[:1]],
        cards=[make_card(evidence, row, cluster.phrase, trigger) for row in spread(cluster.rows)],
    )


def _cluster_facts(evidence: Evidence, cluster: Cluster) -> list[str]:
    others = max(1, evidence.counts.rows - len(cluster))
    found = {
        SHORTCUT: "a pattern in the images tells who carries it, and the model sees no reason for it there",
        TRIGGER: "a gap lies between its images and all others, and they give less reason for their responses",
        INSERTION: "words are put into the instructions of other rows, and its images explain its responses less",
    }
    by_score = f"{number(cluster.top)} of the {number(len(cluster))} least plausible responses carry it"
    facts = [
        f"{found.get(cluster.statistic, by_score)} (column {cluster.statistic}, "
        f"{p_in_words(cluster.p_value)} corrected)",
        f"{number(cluster.flagged)} of its rows are flagged, against "
        f"{percent((evidence.counts.flagged - cluster.flagged) / others)} of all others",
    ]
    if cluster.same_response > 1:
        facts.append(f"{number(cluster.same_response)} of its responses are the same, word for word")
    if cluster.image_dependence is not None:
        word = "less" if cluster.image_dependence > 0 else "more"
        facts.append(
            f"its responses depend on their images {word} than others do ({cluster.image_dependence:+.2f} nats a token)"
        )
    return facts


def _shared(shared: SharedText) -> SharedShown:
    return SharedShown(
        kind=shared.kind,
        text=pieces(shared.text, 160),
        title=name_of(shared.text) if shared.kind == "character" else "",
        inside=_of(shared.odds.inside, shared.odds.of_inside),
        outside=_of(shared.odds.outside, shared.odds.of_outside),
        odds=odds_in_words(shared.odds),
        p_value=p_in_table(shared.p_value),
    )


def _pattern(pattern: Pattern) -> PatternShown:
    return PatternShown(
        headline=pattern_in_words(pattern).capitalize(),
        strength=(
            f"It tells {pattern.inside} of these rows from {pattern.outside} others with an AUC of "
            f"{pattern.auc:.2f} ({p_in_words(pattern.p_value)} corrected), on rows that it was not found on."
        ),
        inside=picture(pattern.mean_inside, pattern.box),
        outside=picture(pattern.mean_outside, pattern.box),
        difference=picture(pattern.difference, pattern.box),
    )


def _of(count: int, total: int) -> str:
    return f"{number(count)} of {number(total)}"


def odds_in_words(odds: Odds) -> str:
    """`21 (5.3 to 84)`."""
    return f"{short(odds.ratio)} ({short(odds.low)} to {short(odds.high)})"


def _column(evidence: Evidence, column: Column) -> ColumnShown:
    values = []
    for value in column.values[:VALUES]:
        odds = value.standing_out or value.flagged
        values.append(
            ValueShown(
                value=pieces(value.value, 80),
                rows=number(value.rows),
                marked=number(odds.inside),
                share=round(100 * odds.inside / max(1, value.rows), 2),
                odds=odds_in_words(odds),
                p_value=p_in_table(value.flagged_p if value.standing_out is None else value.standing_out_p),
                whisker=whisker(odds),
                guilty=value.guilty,
            )
        )
    return ColumnShown(name=pieces(column.name, 60), values=values, left_out=max(0, len(column.values) - VALUES))
