"""`comparison.json`: two scans side by side for machines, as `comparison.schema.json` describes it.

`version` counts up when a field changes its meaning or goes away; new fields do not change it.
"""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from byorn.report.comparison import Comparison, Flip, flagged_in_words
from byorn.report.versions import Pair, Version

VERSION = 2
MOST_ROWS = 20_000
"""Rows listed of each kind; `counts` counts all."""
Json = dict[str, object]


def as_document(comparison: Comparison) -> Json:
    """The comparison as JSON knows it."""
    before, after = comparison.before, comparison.after
    pairing = comparison.pairing
    groups = comparison.groups
    return {
        "version": VERSION,
        "tool": {"name": "byorn", "version": after.scores.metadata.get("byorn_version", "")},
        "sentence": comparison.sentence,
        "arisen": comparison.arisen,
        "before": _version(before),
        "after": _version(after),
        "notes": comparison.notes,
        "counts": {
            "kept": len(pairing.kept),
            "new": len(pairing.new),
            "gone": len(pairing.gone),
            "changed": len(comparison.changed),
            "flipped": len(comparison.flips),
        },
        "flagged": {
            "new": asdict(comparison.new_unused),
            "kept": asdict(comparison.kept_unused),
            "p_value": comparison.p_value,
            "sentence": flagged_in_words(comparison),
        },
        "groups": None if groups is None else [asdict(group) for group in groups],
        "settled": comparison.settled,
        "new": [_row(after, row) for row in pairing.new[:MOST_ROWS]],
        "gone": [_row(before, row) for row in pairing.gone[:MOST_ROWS]],
        "changed": _pairs(comparison, comparison.changed),
        "flipped": [_flip(comparison, flip) for flip in comparison.flips[:MOST_ROWS]],
    }


def _version(version: Version) -> Json:
    metadata = version.scores.metadata
    return {
        "folder": str(version.folder),
        "data": version.source,
        "fingerprint": metadata.get("data", ""),
        "model": metadata.get("model", ""),
        "model_digest": metadata.get("model_digest", ""),
        "statistic": version.statistic,
        "rule": version.flags.rule,
        "threshold": _number(version.flags.threshold),
        "rows": len(version.scores),
        "flagged": int(version.unused.sum()),
        "unread": version.unread,
    }


def _row(version: Version, row: int) -> Json:
    return {"id": version.scores.ids[row], "turn": version.scores.turns[row], **_state(version, row)}


def _state(version: Version, row: int) -> Json:
    """How a row stands: `flagged` is after review."""
    return {
        "score": _number(version.values[row]),
        "flagged": bool(version.unused[row]),
        "review": version.reviewed(row),
    }


def _pairs(comparison: Comparison, pairs: Sequence[Pair]) -> list[Json]:
    return [_pair(comparison, pair) for pair in pairs[:MOST_ROWS]]


def _pair(comparison: Comparison, pair: Pair) -> Json:
    scores = comparison.after.scores
    return {
        "id": scores.ids[pair.after],
        "turn": scores.turns[pair.after],
        "before": _state(comparison.before, pair.before),
        "after": _state(comparison.after, pair.after),
    }


def _flip(comparison: Comparison, flip: Flip) -> Json:
    return {**_pair(comparison, flip.pair), "why": flip.why}


def _number(value: float) -> float | None:
    """JSON has no infinity and no NaN."""
    return float(value) if np.isfinite(value) else None
