"""The decisions of a run: stored at once, and never half.

First the log is on the disk, then the column in `flags.parquet` changes, then `reviews.entered` says how much of the
log is in it. A kill between is noticed at the next start, and the last decisions of the log are put into the flags.
"""

import getpass
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from byorn.flagging.table import FLAGS, REVIEWS, Flags, read_flags, read_reviews, write_reviews
from byorn.review.log import LOG, Decision, append, read_log
from byorn.runs.atomic import atomic_path
from byorn.runs.narrate import say

ENTERED = "reviews.entered"
Key = tuple[str, int]


@dataclass(frozen=True)
class Verdict:
    """A word of `REVIEWS`, and why."""

    word: str
    why: str = ""

    def __post_init__(self) -> None:
        if self.word not in REVIEWS:
            raise ValueError(f"{self.word!r} is none of {', '.join(REVIEWS)}")


class Decisions:
    """The decisions about the rows of a run.

    Args:
        folder: The run folder.
        who: Who decides from now on; the name of the account where it is left out.

    Attributes:
        flags: As they were at the start; their review column is in `words`.
        words: The word of each row, in the order of the rows.
        log: All decisions, oldest first.

    Raises:
        DataError: `flags.parquet` cannot be read.
    """

    def __init__(self, folder: Path, who: str | None = None) -> None:
        self.folder = folder
        self.who = who or account()
        self.flags: Flags = read_flags(folder / FLAGS)
        self.words = list(self.flags.review_words)
        self.log = read_log(folder / LOG)
        self._places = {key: place for place, key in enumerate(self.flags.keys)}
        self._finish_what_was_killed()

    def place(self, key: Key) -> int | None:
        """The number of a row, or None for a stranger."""
        return self._places.get(key)

    def decide(self, verdicts: Mapping[int, Verdict], over: Mapping[int, str] | None = None) -> list[Decision]:
        """Store words about rows, by their number, and return those decisions that change one, or say why anew.

        Args:
            verdicts: The words.
            over: What rows must still have for theirs to be taken, as somebody else may have decided meanwhile.

        Raises:
            DataError: `flags.parquet` was damaged meanwhile.
        """
        with _alone(self.folder):
            self._enter_lost()  # of another session, that was killed meanwhile
            self.words = read_reviews(self.folder / FLAGS)  # somebody else may have decided meanwhile
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            reasons = {entry.key: entry.why for entry in self.log}
            made = [
                Decision(
                    id=self.flags.ids[place], turn=self.flags.turns[place], review=verdict.word,
                    was=self.words[place], who=self.who, when=now, why=verdict.why,
                )
                for place, verdict in verdicts.items()
                if (over or self.words)[place] == self.words[place]
                and (verdict.word != self.words[place] or verdict.why not in ("", reasons.get(self.flags.keys[place])))
            ]  # fmt: skip
            if made:
                append(self.folder / LOG, made)
                self._enter(made)
        self.log += made
        return made

    def _enter(self, made: Sequence[Decision]) -> None:
        for decision in made:
            self.words[self._places[decision.key]] = decision.review
        write_reviews(self.folder / FLAGS, self.words)
        with atomic_path(self.folder / ENTERED) as partial:
            partial.write_text(str((self.folder / LOG).stat().st_size))

    def _finish_what_was_killed(self) -> None:
        """Put the last decisions of the log into flags that lack them: a kill came between."""
        if not self.log or self._all_entered():
            return
        with _alone(self.folder):
            self._enter_lost()

    def _enter_lost(self) -> None:
        """The same, alone in the folder; else the next decision would say that all of the log is in the flags."""
        if self._all_entered():  # by another process meanwhile
            return
        self.words, self.log = read_reviews(self.folder / FLAGS), read_log(self.folder / LOG)
        if not self.log:
            return
        last = [decision for decision in self.log if decision.when == self.log[-1].when]
        lost = [one for one in last if (place := self.place(one.key)) is not None and self.words[place] == one.was]
        self._enter(lost)
        if lost:
            say(f"{len(lost)} decision(s) of the log were not in {self.folder / FLAGS} yet; they are now")

    def _all_entered(self) -> bool:
        """Whether the flags have everything of the log; in a folder that is older than `ENTERED` their times tell."""
        log, entered = self.folder / LOG, self.folder / ENTERED
        if entered.is_file():
            return entered.read_text() == str(log.stat().st_size)
        return (self.folder / FLAGS).stat().st_mtime_ns >= log.stat().st_mtime_ns


def account() -> str:
    """The name of the account that runs this."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container without one
        return "unknown"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes from deciding meanwhile, where the system can."""
    with (folder / LOG).open("ab") as file:
        _lock(file)
        yield


def _lock(file: IO[bytes]) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        return
    fcntl.flock(file, fcntl.LOCK_EX)
