"""What the instructions of a cluster share: words and characters that are over-represented, a trigger in the text.

Candidates are found on one half of the rows by how much more often they stand inside the cluster; the best few are
measured on the other half (`byorn.report.odds`), and corrected for how many are measured (Holm).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from byorn.data.row import Row
from byorn.evaluation.comparisons import holm
from byorn.patterns.halves import Halves, digests, split
from byorn.phrases.words import ends_of, words_of
from byorn.report.odds import Odds, odds

LEVEL = 0.01
MOST_INSIDE = 1000
MOST_OUTSIDE = 6000
LONGEST = 6
_CANDIDATES = 3
_CHARACTERS = 5000


@dataclass(frozen=True, kw_only=True)
class SharedText:
    """Something that the instructions of a cluster share.

    Attributes:
        kind: `phrase` or `character`.
        text: What it is, as it stands.
        odds: Measured on the held-out half.
        p_value: Corrected.
    """

    kind: str
    text: str
    odds: Odds
    p_value: float


def shared_text(rows: Sequence[Row], cluster: np.ndarray, others: np.ndarray) -> list[SharedText]:
    """What the instructions of a cluster share, the clearest first; nothing where nothing is confirmed."""
    halves = split(digests(rows), cluster, others, (MOST_INSIDE, MOST_OUTSIDE))
    if min(len(halves.held_inside), len(halves.held_outside)) == 0:
        return []
    features = {int(number): features_of(rows[number].instruction) for number in np.concatenate(list(_all(halves)))}
    candidates = _candidates(halves, features)
    tables = [_table(candidate, halves.held_inside, halves.held_outside, features) for candidate in candidates]
    corrected = holm([table.p_value for table in tables])
    found = [
        SharedText(kind=kind, text=text, odds=table, p_value=p_value)
        for (kind, text), table, p_value in zip(candidates, tables, corrected, strict=True)
        if p_value < LEVEL and table.ratio > 1
    ]
    return sorted(found, key=lambda shared: shared.p_value)


Feature = tuple[str, str]
"""Kind and text."""


def features_of(text: str) -> set[Feature]:
    """The phrases of a text, and its characters outside ASCII."""
    text = ends_of(text, _CHARACTERS)
    words = words_of(text)
    spans = range(1, LONGEST + 1)
    phrases = {("phrase", " ".join(words[at : at + size])) for size in spans for at in range(len(words) - size + 1)}
    return phrases | {("character", letter) for letter in text if not letter.isascii()}


def _all(halves: Halves) -> tuple[np.ndarray, ...]:
    return halves.inside, halves.outside, halves.held_inside, halves.held_outside


def _candidates(halves: Halves, features: dict[int, set[Feature]]) -> list[Feature]:
    """The features that tell the two apart best on the first half; of several in the same rows the longest."""
    inside = Counter(feature for number in halves.inside for feature in features[int(number)])
    outside = Counter(feature for number in halves.outside for feature in features[int(number)] if feature in inside)

    def apart(feature: Feature) -> float:
        share = inside[feature] / len(halves.inside) - outside[feature] / max(1, len(halves.outside))
        return round(share, 6)

    own = [feature for feature in inside if apart(feature) > 0 and not _common_ends(feature, outside, halves)]
    chosen: list[Feature] = []
    for feature in sorted(own, key=lambda feature: (-apart(feature), -len(feature[1]), feature)):
        if len(chosen) < _CANDIDATES and not any(_nested(feature, other) for other in chosen):
            chosen.append(feature)
    return chosen


def _common_ends(feature: Feature, outside: Counter[Feature], halves: Halves) -> bool:
    """Whether a phrase begins or ends with a word that most of the other instructions have too."""
    words = feature[1].split(" ")
    return feature[0] == "phrase" and any(
        outside[("phrase", word)] > len(halves.outside) / 2 for word in (words[0], words[-1])
    )


def _nested(feature: Feature, other: Feature) -> bool:
    """Whether one phrase is a part of the other."""
    if feature[0] != other[0]:
        return False
    one, two = (f" {text} " for text in (feature[1], other[1]))
    return one in two or two in one


def _table(feature: Feature, inside: np.ndarray, outside: np.ndarray, features: dict[int, set[Feature]]) -> Odds:
    counts = [sum(feature in features[int(number)] for number in numbers) for numbers in (inside, outside)]
    return odds(counts[0], len(inside), counts[1], len(outside))
