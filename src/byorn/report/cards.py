"""The rows that the page shows: a card each, with images, instruction, response and score."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from byorn.report.closer import Closer
from byorn.report.evidence import Evidence
from byorn.report.thumbnails import thumbnail
from byorn.report.visible import Piece, pieces, shaded

CARDS = 8
"""Rows shown of a cluster."""
IMAGES = 2
"""Images shown of a row."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """A row to look at; an image that cannot be shown is None, and so is an answer that is not known."""

    name: list[Piece]
    place: list[Piece]
    images: list[str | None]
    more_images: int
    instruction: list[Piece]
    response: list[Piece]
    answer: list[Piece] | None
    score: str
    flagged: bool
    review: str


def spread(rows: np.ndarray) -> Sequence[int]:
    """Some of the rows, from the least plausible to the most plausible one."""
    places = np.unique(np.linspace(0, len(rows) - 1, min(CARDS, len(rows))).round().astype(int))
    return [int(row) for row in rows[places]]


def make_card(evidence: Evidence, place: int, phrase: str = "", trigger: str = "") -> Card:
    """A row; the phrase is marked in its response, and what may be the trigger in its instruction."""
    run = evidence.run
    row = run.rows[place]
    score = float(run.scores.values[run.statistic][place])
    closer = run.closer.get(row.key)
    origin = f"{row.origin.source} record {row.origin.record}" if row.origin.record >= 0 else ""
    return Card(
        name=pieces(row.id + (f" turn {row.turn}" if row.turn else ""), 60),
        place=pieces(origin, 90),
        images=[thumbnail(image) for image in row.images[:IMAGES]],
        more_images=max(0, len(row.images) - IMAGES),
        instruction=pieces(row.instruction, 240, trigger),
        response=_shaded(closer, phrase) if closer and closer.head else pieces(row.response, 360, phrase),
        answer=pieces(closer.answer, 240) if closer and closer.answer is not None else None,
        score=_score(score),
        flagged=bool(run.flags.flagged[place]),
        review=run.flags.review_words[place],
    )


def _score(score: float) -> str:
    """A score as a card shows it; a contrast is -inf where there is nothing to compare with."""
    if np.isfinite(score):
        return f"{score:.2f}"
    return "no score" if np.isnan(score) else "not compared"


def _shaded(closer: Closer, phrase: str) -> list[Piece]:
    """The response token by token."""
    if not closer.tail:
        return shaded(closer.head, phrase)
    cut = Piece(f" … {closer.left_out:,} tokens … ", "cut")
    return [*shaded(closer.head, phrase), cut, *shaded(closer.tail, phrase)]
