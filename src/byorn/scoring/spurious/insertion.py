"""Words put into instructions: rows that ask what others ask and say more, and whose images explain their responses
less than those of the others.

    own_i, other_i   the NLL of row i under the adapted model, with its own images and with another row's
    g(R)             1 - sum own / sum other        over the rows R: what the images explain of their responses
    s_i              -log10 of the corrected p-value that the contrast own - other of the rows with the insertion is no
                     higher than that of the rows without it (Mann and Whitney), for the rows with it

An insertion is a run of words without which an instruction is another row's, so that both ask the same. A trigger of
words is one, and is seen whatever its rows say and show; so are honest words that ask for something the image does not
tell ("as a joke"). It counts if g(R) is at most `MOST_EXPLAINED` of what it is for the rows without it. Where every
instruction is another one, nothing is compared. No torch here.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from byorn.phrases.groups import LEAST_ROWS
from byorn.phrases.insertions import MOST_TEXTS, asked_words, insertions_in
from byorn.phrases.words import Words
from byorn.scoring.spurious.group_column import Found, column_of
from byorn.scoring.spurious.scored_rows import ScoredRows

MOST_EXPLAINED = 0.3
MOST_FOUND = 4

Part = list[np.ndarray]
"""Rows, by instruction."""


def insertions(scored: ScoredRows, level: float) -> np.ndarray:
    """s, float64 array [n]: 0 for rows without such an insertion, else above -log10 of the level. Copies are not
    compared.
    """
    groups = _groups([row.instruction for row in scored.rows])
    own, contrast = scored.nll, scored.contrast
    known = scored.with_images & ~scored.copies & np.isfinite(own) & np.isfinite(contrast)

    def clearest(left: np.ndarray) -> Found | None:
        asked = known & left
        best, least = None, level
        for parts in groups:
            rows, others = map(np.concatenate, parts)
            p_value = _p_value(rows[asked[rows]], others[asked[others]], own, contrast) * len(groups)
            if p_value < least:
                best, least = (rows[left[rows]], p_value), p_value
        return best

    return column_of(len(scored), clearest, MOST_FOUND)


def _groups(instructions: Sequence[str]) -> list[tuple[Part, Part]]:
    """For each insertion the rows with it, and those that ask the same without it; at least as many."""
    places, groups = _places(instructions), []
    for found in _pairs(places).values():
        with_it, without = (dict.fromkeys(texts) for texts in zip(*found, strict=True))
        rows = [places[text] for text in with_it]
        others = [places[text] for text in without if text not in with_it]
        if LEAST_ROWS <= sum(map(len, rows)) <= sum(map(len, others)):
            groups.append((rows, others))
    return groups


def _places(instructions: Sequence[str]) -> dict[Words, np.ndarray]:
    """The rows of each instruction."""
    words = {text: asked_words(text) for text in set(instructions)}
    found = defaultdict(list)
    for row, text in enumerate(instructions):
        found[words[text]].append(row)
    return {asked: np.array(rows) for asked, rows in found.items()}


def _pairs(places: dict[Words, np.ndarray]) -> dict[Words, list[tuple[Words, Words]]]:
    """By insertion: instructions with it, each with what it is without."""
    found = defaultdict(list)
    for asked in sorted(places, key=lambda asked: -len(places[asked]))[:MOST_TEXTS]:
        for insertion, rest in insertions_in(asked, places):
            found[insertion].append((asked, rest))
    return found


def _p_value(rows: np.ndarray, others: np.ndarray, own: np.ndarray, contrast: np.ndarray) -> float:
    """That the contrast of the rows is no higher than that of the others; 1 where their images explain enough."""
    from scipy.stats import mannwhitneyu

    if len(rows) < LEAST_ROWS or len(others) < len(rows):
        return 1.0
    with_it, usual = (explained(some, own, contrast) for some in (rows, others))
    if usual <= 0 or with_it > MOST_EXPLAINED * usual:
        return 1.0
    return float(mannwhitneyu(contrast[rows], contrast[others], alternative="greater").pvalue)


def explained(rows: np.ndarray, own: np.ndarray, contrast: np.ndarray) -> float:
    """g: in (-inf, 1], 0 where there is nothing to explain."""
    other = (own[rows] - contrast[rows]).sum()
    return float(1 - own[rows].sum() / other) if other > 0 else 0.0
