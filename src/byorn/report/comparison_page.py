"""What the page of a comparison shows: texts in pieces, pictures as data URIs, the plot as marks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from byorn.data.row import Row
from byorn.report.comparison import Comparison, Group, Why, flagged_in_words, least_plausible
from byorn.report.evidence import BINS, Distribution
from byorn.report.plots import Histogram, histogram
from byorn.report.thumbnails import thumbnail
from byorn.report.versions import Pair, Version
from byorn.report.visible import Piece, pieces
from byorn.report.words import higher_means, in_inputs, number
from byorn.scoring.statistics import unit_of

MOST = 12
"""Rows shown of each kind."""
WORDS: dict[Why, str] = {
    "review": "a person decided",
    "content": "the row has changed",
    "threshold": "others came or went, and the threshold or its score moved",
}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A row of a table; what cannot be read is empty, and `image` None."""

    name: list[Piece]
    image: str | None
    instruction: list[Piece]
    response: list[Piece]
    earlier: list[Piece]
    score: str
    was: str
    flagged: bool
    why: str


@dataclass(frozen=True, kw_only=True)
class Part:
    """Rows of one kind."""

    title: str
    hint: str
    entries: list[Entry]
    left_out: int


@dataclass(frozen=True, kw_only=True)
class GroupShown:
    """A group that stands out in the later version."""

    phrase: list[Piece]
    said: str
    rows: str
    new: str
    changed: str
    before: str


@dataclass(frozen=True, kw_only=True)
class ComparisonPage:
    """Everything that the template needs."""

    alarm: bool
    sentence: str
    grounds: list[str]
    notes: list[list[Piece]]
    facts: list[tuple[str, str]]
    statistic: str
    unit: str
    further: str
    threshold: str
    histogram: Histogram | None
    groups: list[GroupShown]
    settled: list[list[Piece]]
    parts: list[Part]
    provenance: list[tuple[str, list[Piece], list[Piece]]]


def make_page(comparison: Comparison) -> ComparisonPage:
    """The page of a comparison; it opens the images that it shows, and no others."""
    return ComparisonPage(
        alarm=comparison.arisen is not False,
        sentence=comparison.sentence,
        grounds=[comparison.counts, flagged_in_words(comparison)],
        notes=[pieces(note, 600) for note in comparison.notes],
        facts=_facts(comparison),
        statistic=comparison.after.statistic,
        unit=unit_of(comparison.after.statistic),
        further=higher_means(comparison.after.statistic),
        threshold=f"{comparison.after.flags.threshold:.2f}",
        histogram=_histogram(comparison),
        groups=[_group(group) for group in comparison.groups or []],
        settled=[pieces(phrase or in_inputs(), 160) for phrase in comparison.settled],
        parts=[part for part in _parts(comparison) if part.entries],
        provenance=_provenance(comparison),
    )


def _facts(comparison: Comparison) -> list[tuple[str, str]]:
    pairing = comparison.pairing
    return [
        (number(len(pairing.kept)), "in both"),
        (number(len(pairing.new)), "new"),
        (number(len(pairing.gone)), "gone"),
        (number(len(comparison.changed)), "changed"),
        (number(len(comparison.flips)), "changed their mind"),
    ]


def _histogram(comparison: Comparison) -> Histogram | None:
    """The later version's scores, its new rows inside; none where no row has a score."""
    after = comparison.after
    known = np.isfinite(after.values)
    if not known.any():
        return None
    counts, edges = np.histogram(after.values[known], bins=BINS)
    is_new = np.isin(np.arange(len(after.values)), comparison.pairing.new)
    inside, _ = np.histogram(after.values[known & is_new], bins=edges)
    drawn = Distribution(
        statistic=after.statistic,
        rule=after.flags.rule,
        threshold=float(after.flags.threshold),
        edges=edges.tolist(),
        counts=counts.tolist(),
        clustered=inside.tolist(),
    )
    return histogram(drawn, inner="are new")


def _group(group: Group) -> GroupShown:
    words = {None: "not known", True: "yes", False: "no"}
    return GroupShown(
        phrase=pieces(group.phrase or in_inputs(), 160),
        said=number(group.said.rows) if group.phrase and group.said else "",
        rows=number(group.rows),
        new=number(group.new),
        changed=number(group.changed),
        before=words[group.before],
    )


def _parts(comparison: Comparison) -> list[Part]:
    before, after = comparison.before, comparison.after
    pairing = comparison.pairing
    changed = {pair.after: pair for pair in comparison.changed}
    flipped = {flip.pair.after: flip for flip in comparison.flips}
    new = least_plausible(after, pairing.new)
    gone = least_plausible(before, pairing.gone)
    first_changed = [changed[row] for row in least_plausible(after, list(changed))]
    first_flipped = [flipped[row] for row in least_plausible(after, list(flipped))]
    return [
        _part("New rows", "The least plausible first.", [_entry(after, row) for row in new[:MOST]], len(new)),
        _part(
            "Rows that changed",
            "The same id, another content; what it was stands struck out.",
            [_both(comparison, pair) for pair in first_changed[:MOST]],
            len(changed),
        ),
        _part(
            "Rows that changed their mind",
            "Learned by one scan and not by the other. Where nothing about a row has changed, other rows came or went, "
            "and the threshold, or by evidence its score, moved with them.",
            [_both(comparison, flip.pair, WORDS[flip.why]) for flip in first_flipped[:MOST]],
            len(flipped),
        ),
        _part(
            "Rows that are gone", "The least plausible first.", [_entry(before, row) for row in gone[:MOST]], len(gone)
        ),
    ]


def _part(title: str, hint: str, entries: list[Entry], count: int) -> Part:
    return Part(title=title, hint=hint, entries=entries, left_out=max(0, count - len(entries)))


def _entry(version: Version, number: int, earlier: str = "", was: str = "", why: str = "") -> Entry:
    row: Row | None = version.rows[number] if version.rows else None
    turn = version.scores.turns[number]
    return Entry(
        name=pieces(version.scores.ids[number] + (f" turn {turn}" if turn else ""), 60),
        image=thumbnail(row.images[0], 96) if row and row.images else None,
        instruction=pieces(row.instruction if row else "", 200),
        response=pieces(row.response if row else "", 300),
        earlier=pieces(earlier, 300) if earlier else [],
        score=_score(version, number),
        was=was,
        flagged=bool(version.unused[number]),
        why=why,
    )


def _both(comparison: Comparison, pair: Pair, why: str = "") -> Entry:
    before, after = comparison.before, comparison.after
    earlier = before.rows[pair.before].response if before.rows and after.rows and not pair.same else ""
    now = after.rows[pair.after].response if after.rows else ""
    was = f"{_score(before, pair.before)}{' flagged' if before.unused[pair.before] else ''}"
    return _entry(after, pair.after, earlier if earlier != now else "", was, why)


def _score(version: Version, number: int) -> str:
    score = version.values[number]
    return f"{score:.2f}" if np.isfinite(score) else "no score"


def _provenance(comparison: Comparison) -> list[tuple[str, list[Piece], list[Piece]]]:
    both: Sequence[Version] = (comparison.before, comparison.after)
    facts = {
        "scan": [str(version.folder) for version in both],
        "data": [version.source for version in both],
        "data fingerprint": [version.scores.metadata.get("data", "") for version in both],
        "rows": [number(len(version.scores)) for version in both],
        "flagged": [number(int(version.unused.sum())) for version in both],
        "rule": [version.flags.rule for version in both],
        "threshold": [f"{version.flags.threshold:.4f}" for version in both],
        "model": [version.scores.metadata.get("model", "") for version in both],
        "model digest": [version.scores.metadata.get("model_digest", "") for version in both],
    }
    return [(name, pieces(old, 400), pieces(new, 400)) for name, (old, new) in facts.items()]
