"""Two scans of two versions of a data set, side by side: read, refused where their scores cannot be compared, and their
rows matched.

Rows belong together that have the same id and turn and the same content; of what is left, by content (renumbered
rows), and then by id and turn (changed rows): ids that are numbers of lines move on where a row comes in before them.
Where the data of a scan have changed since and its rows cannot be read any more, rows are matched by id and turn
alone, and that one changed is told by its score: the same model gives the same text the same score.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from byorn.data.fingerprint import content_digest
from byorn.data.row import Row
from byorn.errors import ConfigError, DataError, MismatchError
from byorn.flagging.rules import column_of
from byorn.flagging.table import Flags
from byorn.report.run import Run, read_files, read_run
from byorn.scoring.table import Scores

SAME_SCORE = 1e-3
"""Nats a token by which scores of one text may differ: batches, another card."""


@dataclass(frozen=True, kw_only=True)
class Version:
    """One of the two scans.

    Attributes:
        folder: Of the run.
        scores, flags: What was found.
        statistic: The column of the scores that flags were made by.
        source: The data set, as the scan was told.
        run: The scan with its rows; None where they cannot be read any more.
        unread: Why not, or nothing.
    """

    folder: Path
    scores: Scores
    flags: Flags
    statistic: str
    source: str
    run: Run | None
    unread: str = ""

    @property
    def rows(self) -> Sequence[Row]:
        """The rows, none where they cannot be read."""
        return self.run.rows if self.run else []

    @cached_property
    def values(self) -> np.ndarray:
        """float64 [n]: the score that flags were made by."""
        return self.scores.values[self.statistic]

    @cached_property
    def unused(self) -> np.ndarray:
        """bool [n]: rows whose response would not be learned, after review."""
        return self.flags.unused

    def reviewed(self, row: int) -> str:
        """What a person said of a row, or `auto`."""
        return self.flags.review_words[row]


def read_version(folder: Path) -> Version:
    """A scan; its rows are left out where its data have changed since.

    Raises:
        DataError: A file of the scan is missing or damaged.
        MismatchError: Its files are about different rows.
    """
    scores, flags, config = read_files(folder)
    run = None
    unread = ""
    try:
        run = read_run(folder)
    except (ConfigError, DataError, MismatchError) as error:  # the first, where the folder of the images is gone
        unread = str(error).removeprefix(f"{folder}: ").partition("; ")[0]
    return Version(
        folder=folder,
        scores=scores,
        flags=flags,
        statistic=column_of(flags.rule, scores),
        source=str(config["data"].get("source") or ""),
        run=run,
        unread=unread,
    )


def require_comparable(before: Version, after: Version) -> None:
    """Refuse scores of other models, or other scores.

    Raises:
        MismatchError: Naming what differs.
    """
    where = f"{before.folder} and {after.folder}"
    fix = "scan both versions alike to compare them"
    old, new = before.scores.metadata, after.scores.metadata
    for name, word in (("model_digest", "models"), ("processor_digest", "chat templates or processors")):
        if old.get(name) != new.get(name):
            models = " and ".join(str(metadata.get("model", "unknown")) for metadata in (old, new))
            raise MismatchError(f"{where}: scored with different {word} ({models}); {fix}")
    if before.statistic != after.statistic:
        raise MismatchError(f"{where}: flagged by different scores ({before.statistic}, {after.statistic}); {fix}")


@dataclass(frozen=True, slots=True)
class Pair:
    """A row that is in both versions: its number in either, and whether its content is the same."""

    before: int
    after: int
    same: bool


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """Which rows belong together.

    Attributes:
        kept: Rows of both, in the order of the later version.
        new, gone: Numbers of rows that only the later, only the earlier version has.
    """

    kept: list[Pair]
    new: list[int]
    gone: list[int]


def pair_rows(before: Version, after: Version) -> Pairing:
    """The rows of two versions, matched; see above.

    Raises:
        MismatchError: They have no row in common.
    """
    old = [content_digest(row) for row in before.rows]
    new = [content_digest(row) for row in after.rows]
    found = _matched(before, after, old, new)
    if not found:
        raise MismatchError(
            f"{before.folder} and {after.folder}: they have no row in common, by id or by content; compare two "
            "versions of one data set"
        )
    taken = set(found.values())
    return Pairing(
        kept=[
            Pair(number, at, old[number] == new[at] if old and new else _same_score(before, number, after, at))
            for at, number in sorted(found.items())
        ],
        new=[at for at in range(len(after.scores)) if at not in found],
        gone=[number for number in range(len(before.scores)) if number not in taken],
    )


def _matched(before: Version, after: Version, old: Sequence[str], new: Sequence[str]) -> dict[int, int]:
    """For numbers of rows of the later version those in the earlier one; `old` and `new` digest what can be read."""
    places = {key: number for number, key in enumerate(before.scores.keys)}
    named = {number: places[key] for number, key in enumerate(after.scores.keys) if key in places}
    if not (old and new):
        return named
    found = {number: at for number, at in named.items() if old[at] == new[number]}
    found |= _by_content(old, new, found)
    taken = set(found.values())
    return found | {number: at for number, at in named.items() if number not in found and at not in taken}


def _by_content(old: Sequence[str], new: Sequence[str], found: dict[int, int]) -> dict[int, int]:
    """The rows without a partner that have one of the same content, each used once."""
    taken = set(found.values())
    left = defaultdict(list)
    for number in reversed(range(len(old))):
        if number not in taken:
            left[old[number]].append(number)
    return {at: left[digest].pop() for at, digest in enumerate(new) if at not in found and left[digest]}


def _same_score(before: Version, number: int, after: Version, at: int) -> bool:
    if before.scores.tokens[number] != after.scores.tokens[at]:
        return False
    return bool(np.isclose(before.scores.nll[number], after.scores.nll[at], rtol=0, atol=SAME_SCORE, equal_nan=True))
