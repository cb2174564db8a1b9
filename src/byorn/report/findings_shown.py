"""The part of the page about groups that stand out: what tells each, what its inputs share, and some of its rows."""

from dataclasses import dataclass

from byorn.patterns.images import Pattern
from byorn.report.cards import Card, make_card, spread
from byorn.report.clusters import Cluster
from byorn.report.evidence import Evidence, Finding
from byorn.report.instructions import SharedText
from byorn.report.spurious import WORDINGS
from byorn.report.thumbnails import picture
from byorn.report.verdict import pattern_in_words
from byorn.report.visible import Piece, name_of, pieces
from byorn.report.words import in_inputs, number, odds_in_words, p_in_table, p_in_words, percent, quoted


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
    lead: str
    facts: list[str]
    texts: list[SharedShown]
    patterns: list[PatternShown]
    cards: list[Card]


def show_finding(evidence: Evidence, finding: Finding) -> FindingShown:
    """What the page shows of a finding; the images of its cards are opened."""
    cluster = finding.cluster
    phrase = cluster.said.text if cluster.said else ""
    trigger = finding.texts[0].text if finding.texts else ""
    return FindingShown(
        phrase=pieces(cluster.phrase or in_inputs(cluster.statistic).capitalize(), 160),
        lead=_lead(cluster, evidence.counts.rows),
        facts=_cluster_facts(evidence, cluster),
        texts=[_shared(shared) for shared in finding.texts],
        patterns=[_pattern(pattern) for pattern in finding.patterns[:1]],
        cards=[make_card(evidence, row, phrase, trigger) for row in spread(cluster.rows)],
    )


def _lead(cluster: Cluster, rows: int) -> str:
    """Who shares what the headline says: the rows of the cluster, or most of them."""
    count, share = number(len(cluster)), percent(len(cluster) / rows)
    if not cluster.phrase or cluster.said is None or cluster.said.rows == len(cluster):
        return f"shared by {count} responses, {share} of all"
    return f"shared by {number(cluster.said.rows)} of {count} responses, which are {share} of all"


def _cluster_facts(evidence: Evidence, cluster: Cluster) -> list[str]:
    others = max(1, evidence.counts.rows - len(cluster))
    told = f"{number(cluster.top)} of the {number(len(cluster))} least plausible responses carry it"
    if cluster.statistic in WORDINGS:
        told = WORDINGS[cluster.statistic].fact
    facts = [
        f"{told} (column {cluster.statistic}, {p_in_words(cluster.p_value)} corrected)",
        f"{number(cluster.flagged)} of its rows are flagged, against "
        f"{percent((evidence.counts.flagged - cluster.flagged) / others)} of all others",
    ]
    if cluster.said and not cluster.phrase:
        said, count = number(cluster.said.rows), number(len(cluster))
        facts.append(f"{said} of its {count} responses share {quoted(cluster.said.text)}")
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
