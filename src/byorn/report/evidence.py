"""What a scan says about a data set, as plain values: computed once, and rendered as HTML, JSON and SARIF."""

import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from byorn.data.rejects import Reject
from byorn.flagging.evidence import RULE
from byorn.flagging.table import FLAGS, Reviews
from byorn.patterns.images import Pattern, shared_pattern
from byorn.patterns.place import placed
from byorn.report.clusters import Cluster, Clusters, find_clusters
from byorn.report.columns import Column, Value, by_column
from byorn.report.expected import expected_number, least_number
from byorn.report.instructions import SharedText, shared_text
from byorn.report.kinds import Kind, kinds_in
from byorn.report.run import Run
from byorn.report.simulation import Simulation, read_simulation
from byorn.runs.folder import sha256_of
from byorn.scoring.kinds import COPY, matched
from byorn.scoring.statistics import KIND
from byorn.scoring.table import SCORES

BINS = 60
ENDS = 12
"""Rows shown of either end."""
_FILES = (SCORES, FLAGS, "config.yaml", "rejects.jsonl")


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many rows there are.

    Attributes:
        rows: Scored ones.
        with_images: Those with images.
        flagged: Those that the rule flagged.
        expected: How many poisoned rows the rule expects, the sum of the weights of flagged rows that have a score;
            None where weights are no probabilities.
        least: How many of those that stand out are poisoned at least (`byorn.report.expected`); None as `expected`.
        standing_out: Those in clusters.
        unscored: Those that could not be scored.
        rejected: Records that could not be used, and are no rows.
    """

    rows: int
    with_images: int
    flagged: int
    expected: float | None
    least: int | None
    standing_out: int
    unscored: int
    rejected: int


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """A histogram of the scores that flags were made by.

    Attributes:
        statistic, rule, threshold: As in `flags.parquet`, in the unit of the statistic.
        edges: Of the bins, one more than there are.
        counts, clustered: Rows in each bin, and those of them that are in clusters.
    """

    statistic: str
    rule: str
    threshold: float
    edges: list[float]
    counts: list[int]
    clustered: list[int]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A cluster, and what its inputs share: hypotheses about the trigger that held on rows that they were not found on.

    Attributes:
        cluster: The rows and their phrase.
        texts: What their instructions share.
        patterns: What their images share.
    """

    cluster: Cluster
    texts: list[SharedText]
    patterns: list[Pattern]

    @property
    def trigger(self) -> bool:
        """Whether the inputs share anything."""
        return bool(self.texts or self.patterns)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that a report shows.

    Attributes:
        run: Rows, scores and flags.
        counts: How many there are.
        distribution: Of the scores.
        clusters: What was looked at for phrases.
        findings: A cluster each, the clearest first.
        columns: By the user's own columns.
        crowded: Names of those that have too many values to be compared.
        kinds: Of input, if there are several.
        least_plausible, most_plausible: Numbers of rows, the extreme ones first.
        reviews: What people decided.
        reject_reasons: Why records could not be used, with how many.
        provenance: What the numbers were made from, by name.
        simulation: What the scan sees of attacks that were planted in its rows, if that was tried.
    """

    run: Run
    counts: Counts
    distribution: Distribution
    clusters: Clusters
    findings: list[Finding]
    columns: list[Column]
    crowded: list[str]
    kinds: list[Kind]
    least_plausible: list[int]
    most_plausible: list[int]
    reviews: Reviews
    reject_reasons: list[tuple[str, int]]
    provenance: dict[str, str]
    simulation: Simulation | None

    @property
    def share(self) -> float:
        """Share of the rows that stand out."""
        return self.counts.standing_out / max(1, self.counts.rows)

    @property
    def guilty(self) -> list[tuple[Column, Value]]:
        """Where rows that stand out come from more often than chance has it."""
        return [(column, value) for column in self.columns for value in column.values if value.guilty]


def gather(run: Run, tell: Callable[[str], None] = lambda line: None) -> Evidence:
    """The evidence of a run.

    Args:
        run: Of a scan.
        tell: Called with one line before each part that takes long.
    """
    tell(f"looking for phrases that stand out among {len(run.rows)} responses")
    clusters = find_clusters(run)
    clustered = np.isin(np.arange(len(run.rows)), clusters.rows)
    findings = [look_into(run, cluster, np.flatnonzero(~clustered), tell) for cluster in clusters.found]
    tell("comparing the data set's own columns")
    columns, crowded = by_column(run.rows, run.flags.flagged, clustered)
    order = np.argsort(-run.suspicion, kind="stable")
    compared = order[~np.isneginf(run.suspicion[order])]
    return Evidence(
        run=run,
        counts=_counts(run, clusters.found, clustered),
        distribution=_distribution(run, clustered),
        clusters=clusters,
        findings=findings,
        columns=columns,
        crowded=crowded,
        kinds=kinds_in(run),
        least_plausible=[int(number) for number in order[:ENDS]],
        most_plausible=[int(number) for number in compared[::-1][:ENDS]],
        reviews=run.flags.reviews,
        reject_reasons=_reasons(run.rejects),
        provenance=provenance(run),
        simulation=read_simulation(run.folder, run.scores, run.flags),
    )


def look_into(
    run: Run, cluster: Cluster, others: np.ndarray, tell: Callable[[str], None] = lambda line: None
) -> Finding:
    """What the inputs of a cluster share that those of other rows, of the same kinds of input, do not."""
    tell(f"looking for what the inputs of {len(cluster)} rows share")
    rows, others = _comparable(run, cluster.rows, others)
    return Finding(
        cluster=cluster,
        texts=shared_text(run.rows, rows, others),
        patterns=placed(shared_pattern(run.thumbnails, rows, others), run.thumbnails, rows, others),
    )


def _comparable(run: Run, rows: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Those of the rows and of the others that are of the same kinds of input; all of them where there are too few
    others, or kinds are not known.
    """
    kinds = np.asarray(run.scores.values.get(KIND, np.zeros(len(run.rows))), dtype=int)
    found = matched(kinds, rows[kinds[rows] != COPY], others[kinds[others] != COPY])
    return found if all(map(len, found)) else (rows, others)


def _counts(run: Run, clusters: Sequence[Cluster], clustered: np.ndarray) -> Counts:
    calibrated = run.flags.rule == RULE
    return Counts(
        rows=len(run.rows),
        with_images=sum(bool(row.images) for row in run.rows),
        flagged=int(run.flags.flagged.sum()),
        expected=expected_number(run) if calibrated else None,
        least=least_number(run, clusters) if calibrated else None,
        standing_out=int(clustered.sum()),
        unscored=int(np.isnan(run.scores.values[run.statistic]).sum()),
        rejected=len(run.rejects),
    )


def _distribution(run: Run, clustered: np.ndarray) -> Distribution:
    values = run.scores.values[run.statistic]
    known = np.isfinite(values)
    counts, edges = np.histogram(values[known], bins=BINS)
    inside, _ = np.histogram(values[known & clustered], bins=edges)
    return Distribution(
        statistic=run.statistic,
        rule=run.flags.rule,
        threshold=float(run.flags.threshold),
        edges=[float(edge) for edge in edges],
        counts=[int(count) for count in counts],
        clustered=[int(count) for count in inside],
    )


def _reasons(rejects: Sequence[Reject]) -> list[tuple[str, int]]:
    """Kinds of problems by number; what differs from record to record, as names and numbers do, is left out."""
    return Counter(f"{reject.field}: {_kind(reject.reason)}" for reject in rejects).most_common(12)


def _kind(reason: str) -> str:
    return "".join("…" if letter.isdigit() else letter for letter in reason.partition("'")[0]).strip() or reason


def provenance(run: Run) -> dict[str, str]:
    """Names and values: data, model, command, versions, and SHA-256 of the files of the run."""
    data = run.config.get("data")
    source, name = (data.get("source"), data.get("name")) if isinstance(data, dict) else (None, None)
    known = run.scores.metadata
    command = run.environment.get("command")
    facts = {
        "data": str(source or ""),
        "entry or configuration": str(name or ""),
        "data fingerprint (BLAKE2b)": known.get("data", ""),
        "model": known.get("model", ""),
        "model digest": known.get("model_digest", ""),
        "processor digest": known.get("processor_digest", ""),
        "number type": known.get("dtype", ""),
        "rule": run.flags.rule,
        "command": shlex.join(map(str, command)) if isinstance(command, list) else "",
    }
    versions = run.environment.get("versions")
    if isinstance(versions, dict):
        facts["versions"] = ", ".join(f"{name} {version}" for name, version in versions.items())
    facts |= {f"SHA-256 of {path.name}": sha256_of(path) for name in _FILES if (path := run.folder / name).is_file()}
    return {name: value for name, value in facts.items() if value}
