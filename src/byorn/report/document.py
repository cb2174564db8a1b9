"""`report.json`: the evidence for machines, as `report.schema.json` describes it.

`version` counts up when a field changes its meaning or goes away; new fields do not change it.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from byorn.patterns.images import Pattern
from byorn.report.columns import Column, Value
from byorn.report.evidence import Evidence, Finding
from byorn.report.run import Run
from byorn.report.verdict import judge

VERSION = 1
MOST_ROWS = 20_000
"""Rows listed of a cluster; `rows` counts all."""
Json = dict[str, object]


def as_document(evidence: Evidence) -> Json:
    """The evidence as JSON knows it."""
    verdict = judge(evidence)
    clusters = evidence.clusters
    return {
        "version": VERSION,
        "tool": {"name": "byorn", "version": evidence.run.scores.metadata.get("byorn_version", "")},
        "verdict": asdict(verdict),
        "counts": asdict(evidence.counts),
        "share": evidence.share,
        "tested": {"phrases": len(clusters.phrases), "tests": clusters.tests, "least_rows": clusters.least},
        "distribution": _finite(asdict(evidence.distribution)),
        "clusters": [_cluster(evidence.run, finding) for finding in evidence.findings],
        "columns": [_column(column) for column in evidence.columns],
        "kinds": [asdict(kind) for kind in evidence.kinds],
        "least_plausible": _rows(evidence.run, evidence.least_plausible),
        "most_plausible": _rows(evidence.run, evidence.most_plausible),
        "rejects": [{"reason": reason, "count": count} for reason, count in evidence.reject_reasons],
        "reviews": asdict(evidence.reviews),
        "simulation": evidence.simulation.as_dict() if evidence.simulation else None,
        "provenance": evidence.provenance,
    }


def _cluster(run: Run, finding: Finding) -> Json:
    cluster = finding.cluster
    return {
        "phrase": cluster.phrase,
        "rows": len(cluster),
        "said": asdict(cluster.said) if cluster.said else None,
        "statistic": cluster.statistic,
        "p_value": cluster.p_value,
        "top": cluster.top,
        "flagged": cluster.flagged,
        "same_response": cluster.same_response,
        "image_dependence": cluster.image_dependence,
        "instructions": [asdict(shared) for shared in finding.texts],
        "images": [_pattern(pattern) for pattern in finding.patterns],
        "members": _rows(run, cluster.rows[:MOST_ROWS]),
    }


def _pattern(pattern: Pattern) -> Json:
    return {
        "kind": pattern.kind,
        "box": asdict(pattern.box) if pattern.box else None,
        "auc": pattern.auc,
        "p_value": pattern.p_value,
        "inside": pattern.inside,
        "outside": pattern.outside,
    }


def _column(column: Column) -> Json:
    return {"name": column.name, "values": [_value(value) for value in column.values]}


def _value(value: Value) -> Json:
    return {**asdict(value), "guilty": value.guilty}


def _rows(run: Run, numbers: Sequence[int] | np.ndarray) -> list[Json]:
    """Which rows, where they stand, and their score."""
    values, words = run.scores.values[run.statistic], run.flags.review_words
    return [
        {
            "id": run.rows[number].id,
            "turn": run.rows[number].turn,
            "source": run.rows[number].origin.source,
            "record": run.rows[number].origin.record,
            "score": float(values[number]) if np.isfinite(values[number]) else None,
            "flagged": bool(run.flags.flagged[number]),
            "review": words[number],
        }
        for number in map(int, numbers)
    ]


def _finite(values: Json) -> Json:
    """JSON has no infinity and no NaN."""
    unknown = {key for key, value in values.items() if isinstance(value, float) and not math.isfinite(value)}
    return {key: None if key in unknown else value for key, value in values.items()}
