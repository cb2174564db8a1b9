"""What lies on the desk of who decides: rows with their scores, filters, and the way back."""

from collections import Counter
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import TypedDict

import numpy as np

from byorn.data.row import Row, text_of
from byorn.review.decisions import Decisions, Verdict
from byorn.review.filters import filters_of
from byorn.review.order import review_order
from byorn.review.visible import Piece, pieces_of, plain
from byorn.scoring.statistics import EVIDENCE, unit_of

STATES = ("todo", "flagged", "decided", "all")
"""What is shown: flagged and undecided, flagged, decided, all."""
UNDO = "undone"
_LONGEST_WHY = 1000


class Said(TypedDict):
    """A message of a conversation."""

    role: str
    pieces: list[Piece]


class Desk:
    """Rows, and decisions about them. Safe to use from several threads.

    Args:
        rows: As they were scanned.
        scores: float array [n], higher = less plausible; NaN where a row could not be scored.
        decisions: About these rows.
        group_by: Column of the data that comes first among the filters, whatever its values are.
        groups: Numbers of the rows that stand out together, by their phrase.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        scores: np.ndarray,
        decisions: Decisions,
        group_by: str | None = None,
        groups: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        self.rows = rows
        self.scores = scores
        self.decisions = decisions
        self.filters = filters_of(rows, decisions.flags.flagged, groups or {}, group_by)
        self._texts = [f"{row.id}\n{row.instruction}\n{row.response}".casefold() for row in rows]
        order = np.argsort(-np.where(np.isnan(scores), np.inf, scores), kind="stable")
        self._ranks = np.empty(len(rows), int)
        self._ranks[order] = np.arange(1, len(rows) + 1)
        known = scores[np.isfinite(scores)]
        self._most = float(known.max()) if len(known) else 0.0
        self._steps: list[tuple[int, str, str]] = []
        self._lock = Lock()

    def queue(self, state: str = "todo", chosen: Mapping[int, int] | None = None, text: str = "") -> list[int]:
        """The numbers of the rows that fit, in the order in which to look at them.

        Args:
            state: One of `STATES`.
            chosen: For the numbers of filters the number of the value that rows must have.
            text: What instruction, response or id must hold.
        """
        values = [(self.filters[number], at) for number, at in (chosen or {}).items()]
        wanted = text.casefold()
        words = self.decisions.words
        return [
            row for row in review_order(self.decisions.flags, words, self.scores)
            if self._is(state, row, words) and wanted in self._texts[row]
            and all(one.texts[row] == one.values[at][0] for one, at in values)
        ]  # fmt: skip

    def _is(self, state: str, row: int, words: list[str]) -> bool:
        flagged = bool(self.decisions.flags.flagged[row])
        decided = words[row] != "auto"
        return {"todo": flagged and not decided, "flagged": flagged, "decided": decided, "all": True}[state]

    def counts(self) -> dict[str, int]:
        """How far the work has come: rows by word, flagged ones, and those of them that are decided."""
        words = self.decisions.words
        flagged = self.decisions.flags.flagged
        done = sum(word != "auto" and bool(flag) for word, flag in zip(words, flagged, strict=True))
        return {"rows": len(words), "flagged": int(flagged.sum()), "done": done, **Counter(words)}

    def offered(self) -> list[dict[str, object]]:
        """The filters with their values."""
        return [
            {"name": plain(one.name), "values": [{"name": plain(text), "flagged": count} for text, count in one.values]}
            for one in self.filters
        ]

    def row(self, number: int) -> dict[str, object]:
        """All that is shown of a row."""
        row = self.rows[number]
        flags = self.decisions.flags
        score = float(self.scores[number])
        history = [entry for entry in self.decisions.log if entry.key == row.key]
        return {
            "number": number,
            "id": pieces_of(row.id),
            "turn": row.turn,
            "values": [[pieces_of(one.name), pieces_of(one.texts[number])] for one in self.filters],
            "source": pieces_of(row.origin.source),
            "record": row.origin.record,
            "prompt": [_said(message["role"], text_of(message)) for message in row.prompt],
            "response": pieces_of(row.response),
            "images": [pieces_of(image.name or "in the table") for image in row.images],
            "score": score if np.isfinite(score) else None,
            "rank": int(self._ranks[number]),
            "of": len(self.rows),
            "most": self._most,
            "threshold": flags.threshold,
            "unit": unit_of(EVIDENCE if flags.rule == EVIDENCE else "nll"),
            "flagged": bool(flags.flagged[number]),
            "reason": flags.reasons[number],
            "review": self.decisions.words[number],
            "history": [
                {"review": entry.review, "who": pieces_of(entry.who), "when": entry.when, "why": pieces_of(entry.why)}
                for entry in history[-5:]
            ],
        }

    def decide(self, number: int, word: str, why: str = "") -> None:
        """Store a decision; when this returns it is on the disk."""
        with self._lock:
            made = self.decisions.decide({number: Verdict(word, why.strip()[:_LONGEST_WHY])})
            self._steps += [(number, decision.was, word) for decision in made]

    def undo(self) -> int | None:
        """Take back the last decision of this session, which is a decision too; the row that it was about. What another
        session has decided about it since stands.
        """
        with self._lock:
            if not self._steps:
                return None
            number, was, word = self._steps[-1]
            self.decisions.decide({number: Verdict(was, UNDO)}, over={number: word})
            self._steps.pop()
            return number


def _said(role: str, text: str) -> Said:
    return {"role": role, "pieces": pieces_of(text)}
