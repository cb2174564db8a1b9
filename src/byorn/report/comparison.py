"""What is new, what is gone and what changed its mind between two scans of two versions of a data set.

A row changes its mind where its response would be learned by one scan and not by the other. Why is told for each: a
person decided (`review`), the row itself changed (`content`), or neither, and the threshold moved past it, or by
evidence its own score past the threshold, because other rows came or went (`threshold`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from byorn.evaluation.comparisons import more_often
from byorn.evaluation.repeats import Share
from byorn.phrases.words import words_of
from byorn.report.clusters import Cluster, Said, find_clusters
from byorn.report.versions import Pair, Pairing, Version, pair_rows, require_comparable
from byorn.report.words import number, percent, shared
from byorn.runs.folder import read_json

Why = Literal["review", "content", "threshold"]


@dataclass(frozen=True, kw_only=True)
class Flip:
    """A row that changed its mind, and why."""

    pair: Pair
    why: Why


@dataclass(frozen=True, kw_only=True)
class Group:
    """Rows of the later version that share a phrase and stand out.

    Attributes:
        phrase: By which.
        said: As of a `Cluster`: how many of them say it.
        rows: How many.
        new, changed: How many of them are new, or have changed.
        before: Whether a group stood out by that phrase in the earlier version; None where that is not known.
    """

    phrase: str
    said: Said | None
    rows: int
    new: int
    changed: int
    before: bool | None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All that two scans say about each other.

    Attributes:
        before, after: The scans.
        pairing: Which rows belong together.
        flips: Rows that changed their mind, in the order of the later version.
        groups: What stands out in the later version; None where its rows cannot be read.
        settled: Phrases that stood out in the earlier version alone.
        new_unused, kept_unused: Flagged shares of the new rows and of those in both.
        p_value: Fisher's exact test, one side, that new rows are flagged more often.
        notes: What was not as it should be for a comparison.
    """

    before: Version
    after: Version
    pairing: Pairing
    flips: list[Flip]
    groups: list[Group] | None
    settled: list[str]
    new_unused: Share
    kept_unused: Share
    p_value: float
    notes: list[str]

    @property
    def changed(self) -> list[Pair]:
        """Rows of both whose content is not the same."""
        return [pair for pair in self.pairing.kept if not pair.same]

    @property
    def newly_flagged(self) -> list[int]:
        """Numbers of rows that are new, or have changed, and would not be learned."""
        return [row for row in (*self.pairing.new, *(pair.after for pair in self.changed)) if self.after.unused[row]]

    @property
    def fresh(self) -> list[Group]:
        """Groups that stand out now and did not, or may not have, before."""
        return [group for group in self.groups or [] if not group.before]

    @property
    def arisen(self) -> bool | None:
        """Whether a group stands out that did not before; None where that cannot be told."""
        if any(group.before is False for group in self.fresh):
            return True
        return None if self.groups is None or self.fresh else False

    @property
    def sentence(self) -> str:
        """What stands out now and did not before, in one sentence."""
        if self.groups is None:
            return "What stands out now cannot be told: the rows of the later scan cannot be read."
        if not self.fresh:
            return "Nothing stands out that did not before."
        first = max(self.fresh, key=lambda group: group.before is False)
        word = f"stand out{' that did not before' if self.arisen else ', and whether they did before is not known'}"
        origin = f"of the {number(first.rows)}, {number(first.new)} are new and {number(first.changed)} changed"
        more = f"; {len(self.fresh) - 1} more group(s)" if len(self.fresh) > 1 else ""
        return f"{number(first.rows)} responses {word}: {_who(first)} share {shared(first.phrase)}; {origin}{more}."

    @property
    def counts(self) -> str:
        """How many rows are new, gone and changed, in one sentence."""
        pairing = self.pairing
        newly = sum(bool(self.after.unused[flip.pair.after]) for flip in self.flips)
        return (
            f"{number(len(pairing.new))} rows are new, {number(len(pairing.gone))} are gone, "
            f"{number(len(self.changed))} have changed; {number(len(self.flips))} changed their mind "
            f"({number(newly)} newly flagged, {number(len(self.flips) - newly)} no longer)."
        )


def _who(group: Group) -> str:
    """Who shares what a group is named by: all of it, or those that say its phrase."""
    said = group.said
    return f"{number(said.rows)} of them" if group.phrase and said and said.rows < group.rows else "they"


def compare(before: Version, after: Version) -> Comparison:
    """The comparison of two scans.

    Raises:
        MismatchError: Their scores cannot be compared, or they have no row in common.
    """
    require_comparable(before, after)
    pairing = pair_rows(before, after)
    earlier = find_clusters(before.run).found if before.run else None
    then = _phrases(before) if earlier is None else [cluster.phrase for cluster in earlier]
    groups = _groups(after, pairing, then, earlier)
    now = [group.phrase for group in groups or []]
    new = Share.of(after.unused[pairing.new].tolist())
    kept = Share.of(after.unused[[pair.after for pair in pairing.kept]].tolist())
    return Comparison(
        before=before,
        after=after,
        pairing=pairing,
        flips=_flips(before, after, pairing.kept),
        groups=groups,
        settled=[phrase for phrase in then or [] if phrase and not _alike(phrase, now)] if groups is not None else [],
        new_unused=new,
        kept_unused=kept,
        p_value=more_often(new.hits, new.n, kept.hits, kept.n),
        notes=_notes(before, after),
    )


def _flips(before: Version, after: Version, kept: Sequence[Pair]) -> list[Flip]:
    old, new = before.unused, after.unused
    return [
        Flip(pair=pair, why=_why(before, after, pair))
        for pair in kept
        if bool(old[pair.before]) != bool(new[pair.after])
    ]


def _why(before: Version, after: Version, pair: Pair) -> Why:
    if before.reviewed(pair.before) != "auto" or after.reviewed(pair.after) != "auto":
        return "review"
    return "threshold" if pair.same else "content"


def _phrases(version: Version) -> list[str] | None:
    """By what groups stood out in a version whose rows are not there, as its report said, if there is one."""
    clusters = (read_json(version.folder / "report.json") or {}).get("clusters")
    if not isinstance(clusters, list):
        return None
    phrases = [cluster.get("phrase") for cluster in clusters if isinstance(cluster, dict)]
    return [phrase for phrase in phrases if isinstance(phrase, str)]


def _groups(
    after: Version, pairing: Pairing, then: Sequence[str] | None, earlier: Sequence[Cluster] | None
) -> list[Group] | None:
    """What stands out in the later version, and whether it did before."""
    if after.run is None:
        return None
    new = set(pairing.new)
    changed = {pair.after for pair in pairing.kept if not pair.same}
    return [
        Group(
            phrase=cluster.phrase,
            said=cluster.said,
            rows=len(cluster),
            new=sum(row in new for row in cluster.rows.tolist()),
            changed=sum(row in changed for row in cluster.rows.tolist()),
            before=_seen(cluster, pairing, then, earlier),
        )
        for cluster in find_clusters(after.run).found
    ]


def _seen(
    cluster: Cluster, pairing: Pairing, then: Sequence[str] | None, earlier: Sequence[Cluster] | None
) -> bool | None:
    """Whether a group stood out before: by its phrase, or where it has none by its rows; None where nobody knows."""
    if then is None or (not cluster.phrase and "" in then and earlier is None):
        return None
    if cluster.phrase:
        return _alike(cluster.phrase, then)
    inside = set(cluster.rows.tolist())
    own = {pair.before for pair in pairing.kept if pair.after in inside}
    return any(2 * len(own & set(group.rows.tolist())) >= len(cluster) for group in earlier or [] if not group.phrase)


def _alike(phrase: str, others: Sequence[str]) -> bool:
    """Whether one of the others is the phrase or, with half of its words or more, a part of it, or holds it: a phrase
    grows by its neighbors' words.
    """
    own = words_of(phrase)
    return any(_part(own, words) or _part(words, own) for words in map(words_of, filter(None, others)))


def _part(some: Sequence[str], all_of: Sequence[str]) -> bool:
    return 2 * len(some) >= len(all_of) and f" {' '.join(some)} " in f" {' '.join(all_of)} "


def _notes(before: Version, after: Version) -> list[str]:
    notes = []
    for version in (before, after):
        if version.unread:
            notes.append(
                f"The rows of {version.folder} cannot be read any more ({version.unread}): rows are matched by id "
                "alone, and that one changed is told by its score."
            )
    if before.flags.rule != after.flags.rule:
        notes.append(
            f"The rules differ, {before.flags.rule} and {after.flags.rule}: rows change their mind by that alone."
        )
    if before.scores.metadata.get("data") == after.scores.metadata.get("data"):
        notes.append("Both scans are of the very same data.")
    return notes


def flagged_in_words(comparison: Comparison) -> str:
    """How new rows compare with the others: `45 of 100 new rows are flagged (45.0%), against 40.0% of the others`."""
    new, kept = comparison.new_unused, comparison.kept_unused
    if not new.n:
        return f"No row is new; {percent(kept.hits / max(1, kept.n))} of those in both are flagged now."
    return (
        f"{number(new.hits)} of {number(new.n)} new rows are flagged ({percent(new.hits / new.n)}), against "
        f"{percent(kept.hits / max(1, kept.n))} of the rows in both."
    )


def least_plausible(version: Version, rows: Sequence[int]) -> list[int]:
    """The rows by their score, the least plausible first; those without a score lead."""
    values = np.nan_to_num(version.values, nan=np.inf)
    return sorted(rows, key=lambda row: -float(values[row]))
