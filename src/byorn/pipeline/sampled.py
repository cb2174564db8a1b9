"""Which inputs `byorn verify` asks, what it looks for in the answers, and which trigger hypotheses it tries.

Phrases are those of the groups that the report finds; where it finds none, those that rows share which a person threw
out, and else, only to be told, those of flagged rows (`byorn.evaluation.flagged_phrases`). Half of the flagged inputs
are of rows that say one, the others are drawn from all flagged rows: under the paper's rule, which flags 40 %, few of
them are poisoned. By evidence none may be flagged, or a handful: then the least plausible of the others are asked with
them, no more of these than it takes to compare, as each makes the share of a handful smaller. Trusted inputs are drawn
from the more plausible half of the rows that are neither flagged nor in a group: of all, these are the least likely to
be poisoned; the very most plausible alone would be one kind of easy question.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from byorn.data.row import Row
from byorn.errors import DataError
from byorn.evaluation.flagged_phrases import Phrase, find_phrases
from byorn.models.length import Ruler
from byorn.phrases.words import plain, says
from byorn.pipeline.scanned import Scanned, as_run
from byorn.pipeline.settings.verify import VerifySpec
from byorn.report.clusters import Cluster, find_clusters
from byorn.report.evidence import look_into
from byorn.report.graft import Graft, graft
from byorn.runs.narrate import say

FEWEST = 10
"""Inputs of a side below which no difference could be shown."""
MOST_FILLED = 0.4
"""Share of all rows that are asked as flagged ones where fewer than `FEWEST` are."""
WITH_A_HANDFUL = 2 * FEWEST
"""Rows that are asked as flagged ones at most where some are, but fewer than `FEWEST`."""
MOST_GRAFTS = 3
"""Groups whose trigger hypothesis is tried, the clearest first."""


@dataclass(frozen=True, kw_only=True)
class Tried:
    """A trigger hypothesis on trusted inputs.

    Attributes:
        graft: The hypothesis.
        phrase: Of its group.
        rows: Trusted inputs with it; ids and turns are those of the inputs without it.
    """

    graft: Graft
    phrase: Phrase
    rows: list[Row]


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """Which inputs are asked, and what is looked for in the answers."""

    flagged: list[Row]
    trusted: list[Row]
    phrases: list[Phrase]
    distinct: set[str]
    tried: list[Tried]

    @property
    def rows(self) -> list[Row]:
        return [*self.flagged, *self.trusted]


def sample(scanned: Scanned, spec: VerifySpec, limit: int | None = None) -> Sampled:
    """The inputs to ask, see the module; `limit` are the tokens that the model takes.

    Raises:
        DataError: One of the two sides has too few rows.
    """
    kept = scanned.flags.kept
    say(f"looking for groups that stand out among {len(scanned.rows)} responses")
    groups = [group for group in find_clusters(as_run(scanned)).found if kept[group.rows].mean() < 0.5]
    suspect = scanned.flags.unused
    for group in groups:
        suspect[group.rows[~kept[group.rows]]] = True
    suspect = _filled(scanned, suspect, kept, spec.rows)
    flagged, others = _sides(scanned.rows, suspect)
    phrases = _phrases(scanned, groups, flagged, others, spec.seed)
    fitting = _Fitting(scanned.processor, limit, spec)
    asked = fitting.some(_groups_first(flagged, phrases, spec))
    trusted = fitting.some(_mixed(_plausible(scanned, ~suspect), spec.seed))
    if min(len(asked), len(trusted)) < FEWEST:
        raise DataError(
            f"{scanned.folder}: {len(asked)} flagged and {len(trusted)} trusted inputs can be asked, "
            f"and no difference shows on fewer than {FEWEST} of each; scan more rows"
        )
    held = {plain(row.response) for row in others}
    return Sampled(
        flagged=asked,
        trusted=trusted,
        phrases=phrases,
        distinct={plain(row.response) for row in flagged} - held,
        tried=list(_tried(scanned, groups, phrases, trusted, fitting)),
    )


def _filled(scanned: Scanned, suspect: np.ndarray, kept: np.ndarray, most: int) -> np.ndarray:
    """Bool array [n]: the suspect rows, with the least plausible others where they are too few to ask.

    Args:
        scanned: The scan.
        suspect, kept: Bool arrays [n]: who is flagged or in a group, and whom a person trusts.
        most: How many are wanted in all.
    """
    count = int(suspect.sum())
    wanted = min(WITH_A_HANDFUL if count else most, most, int(MOST_FILLED * len(suspect)))
    if count >= FEWEST or wanted < FEWEST:
        return suspect
    order = np.argsort(-scanned.scores.values[scanned.statistic], kind="stable")
    further = order[~(suspect | kept)[order]][: wanted - count]
    say(f"  {count} row(s) are flagged; the {len(further)} least plausible others are asked as well")
    filled = suspect.copy()
    filled[further] = True
    return filled


def _sides(rows: Sequence[Row], suspect: np.ndarray) -> tuple[list[Row], list[Row]]:
    flagged = [row for row, is_suspect in zip(rows, suspect, strict=True) if is_suspect]
    return flagged, [row for row, is_suspect in zip(rows, suspect, strict=True) if not is_suspect]


def _phrases(
    scanned: Scanned, groups: Sequence[Cluster], flagged: Sequence[Row], others: Sequence[Row], seed: int
) -> list[Phrase]:
    """Of the groups; where there is none, those that rows share which a person threw out, or else flagged ones."""
    found = [phrase for group in groups if (phrase := _phrase(group, flagged, others)) is not None]
    if found:
        said = ", ".join(f"“{phrase.text}”" for phrase in found[:3])
        say(f"  {len(found)} group(s) stand out, as in the report: {said}")
        return found
    rest = [row.response for row in others]
    words = scanned.flags.review_words
    accused = [row.response for row, word in zip(scanned.rows, words, strict=True) if word in ("replace", "drop")]
    if named := find_phrases(accused, rest, seed):
        say(f"  no group stands out; the {len(accused)} rows that a person threw out share {len(named)} phrase(s)")
        return [replace(phrase, suspected=True) for phrase in named]
    shared = find_phrases([row.response for row in flagged], rest, seed)
    say(f"  no group stands out; these {len(flagged)} rows share {len(shared)} phrase(s) that others lack")
    return shared


def _phrase(group: Cluster, flagged: Sequence[Row], others: Sequence[Row]) -> Phrase | None:
    """The phrase of a group with its counts; None where it has no words, as a row of exclamation marks."""
    text = plain(group.phrase)
    words = tuple(text.split(" "))
    if not text:
        return None
    hits, elsewhere = (sum(says(row.response, words) for row in rows) for rows in (flagged, others))
    return Phrase(text, hits, len(flagged), elsewhere, len(others), group.p_value, suspected=True)


def _tried(
    scanned: Scanned, groups: Sequence[Cluster], phrases: Sequence[Phrase], trusted: Sequence[Row], fitting: "_Fitting"
) -> list[Tried]:
    """What the inputs of each group share, put onto the trusted ones."""
    known = {phrase.text: phrase for phrase in phrases}
    run = as_run(scanned)
    grouped = np.concatenate([np.zeros(0, dtype=int), *(group.rows for group in groups)])
    others = np.setdiff1d(np.arange(len(run.rows)), grouped)
    found = []
    for group in groups[:MOST_GRAFTS]:
        phrase = known.get(plain(group.phrase))
        made = graft(run.rows, look_into(run, group, others), others) if phrase else None
        if made is None or phrase is None:
            continue
        rows = fitting.some(made.onto(trusted))
        if len(rows) < FEWEST:
            say(f"  {made.name}: only {len(rows)} trusted inputs can take it, so it is not tried")
            continue
        say(f"  what the inputs of that group share is tried on {len(rows)} trusted ones: {made.name}")
        found.append(Tried(graft=made, phrase=phrase, rows=rows))
    return found


@dataclass(frozen=True)
class _Fitting:
    """Takes the first rows that leave room for an answer."""

    processor: Any
    limit: int | None
    spec: VerifySpec

    def some(self, rows: Sequence[Row]) -> list[Row]:
        limit, ruler = self.limit, Ruler(self.processor)
        fitting = (row for row in rows if not (limit and ruler.problem(row, limit, self.spec.max_new_tokens)))
        return list(islice(fitting, self.spec.rows))


def _mixed(rows: Sequence[Row], seed: int) -> list[Row]:
    return [rows[index] for index in np.random.default_rng(seed).permutation(len(rows))]


def _groups_first(flagged: Sequence[Row], phrases: Sequence[Phrase], spec: VerifySpec) -> list[Row]:
    """All flagged rows in the order in which they are taken: up to half of the places go to those with a phrase."""
    mixed = _mixed(flagged, spec.seed)
    group = [row for row in mixed if any(says(row.response, phrase.words) for phrase in phrases)][: spec.rows // 2]
    taken = {row.key for row in group}
    return [*group, *(row for row in mixed if row.key not in taken)]


def _plausible(scanned: Scanned, trusted: np.ndarray) -> list[Row]:
    """The more plausible half of the rows that are trusted; all of them where that is too few to compare."""
    values = scanned.scores.values[scanned.statistic]
    numbers = [int(number) for number in np.argsort(values, kind="stable") if trusted[number]]
    return [scanned.rows[number] for number in numbers[: max(FEWEST, len(numbers) // 2)]]
