"""`--fail-on`: what ends a command with exit code 3.

Of a scan:

    cluster       any group of rows stands out of which a person has not kept every row
    source        rows that stand out come from one value of a column (or one file) more often than chance has it
    share>0.01    more than that share of the rows stands out

Of a scan that is compared with an earlier one:

    cluster       a group of rows stands out that did not before
    new           a row is flagged that is new, or has changed
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from byorn.errors import ConfigError, GateExceeded
from byorn.report.clusters import Cluster
from byorn.report.comparison import Comparison
from byorn.report.evidence import Evidence
from byorn.report.visible import plain
from byorn.report.words import number, percent, quoted, shared

_SHARE = re.compile(r"share\s*>\s*(\d+(?:\.\d*)?|\.\d+)(e-?\d+)?")
KNOWN = "cluster, source, or share>NUMBER such as 'share>0.01'"
OF_TWO = ("cluster", "new")
"""What is known of two scans; of one, all others and the first."""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One condition; `limit` is that of a share."""

    kind: str
    limit: float = 0.0


def parse_gates(texts: Sequence[str], *, two: bool = False) -> list[Gate]:
    """Gates as the command line gives them, of a scan, or of `two` that are compared.

    Raises:
        ConfigError: One is none, or of the other kind.
    """
    return [_of_two(text) if two else _of_one(text) for text in texts]


def _of_two(text: str) -> Gate:
    kind = text.strip()
    if kind not in OF_TWO:
        raise ConfigError(f"--fail-on {text[:60]!r} is no gate of two scans; use {' or '.join(OF_TWO)}")
    return Gate(kind=kind)


def _of_one(text: str) -> Gate:
    if text.strip() in ("cluster", "source"):
        return Gate(kind=text.strip())
    match = _SHARE.fullmatch(text.strip())
    if not match:
        hint = "; new is for two scans: byorn report A B" if text.strip() == "new" else ""
        raise ConfigError(f"--fail-on {text[:60]!r} is no gate; use {KNOWN}{hint}")
    limit = float(match[1] + (match[2] or ""))
    if limit >= 1:
        raise ConfigError(f"--fail-on {text[:60]!r}: a share is below 1; write 0.01 for one percent")
    return Gate(kind="share", limit=limit)


def check_gates(gates: Sequence[Gate], evidence: Evidence) -> None:
    """Raise where a gate is exceeded.

    Raises:
        GateExceeded: Naming all of them.
    """
    _end([_exceeded(gate, evidence) for gate in gates])


def check_comparison(gates: Sequence[Gate], comparison: Comparison) -> None:
    """The same for two scans.

    Raises:
        GateExceeded: Naming all of them.
    """
    _end([_newly(comparison) if gate.kind == "new" else _arisen(comparison) for gate in gates])


def _end(exceeded: Sequence[str]) -> None:
    if any(exceeded):
        raise GateExceeded("; ".join(filter(None, exceeded)))


def _arisen(comparison: Comparison) -> str:
    """What stands out that did not, or may not have, before; what cannot be told is taken for the worse."""
    if comparison.arisen is False:
        return ""
    return f"--fail-on cluster: {comparison.sentence.rstrip('.')}"


def _newly(comparison: Comparison) -> str:
    """How many rows that are new or changed are flagged."""
    count = len(comparison.newly_flagged)
    return f"--fail-on new: {number(count)} row(s) that are new or have changed are flagged" if count else ""


def _exceeded(gate: Gate, evidence: Evidence) -> str:
    """What is wrong, or nothing."""
    if gate.kind == "cluster" and (open_ones := _undecided(evidence)):
        first = open_ones[0]
        by = shared(first.phrase, first.statistic)
        if first.phrase and first.said and first.said.rows < len(first):
            by += f", which {number(first.said.rows)} of its {number(len(first))} rows share"
        return f"--fail-on cluster: {len(open_ones)} group(s) of rows stand out, the first by {by}"
    if gate.kind == "source" and evidence.guilty:
        column, value = evidence.guilty[0]
        return f"--fail-on source: rows that stand out have {plain(column.name, 60)} = {quoted(value.value)}"
    if gate.kind == "share" and evidence.share > gate.limit:
        return f"--fail-on share>{gate.limit:g}: {percent(evidence.share)} of the rows stand out"
    return ""


def _undecided(evidence: Evidence) -> list[Cluster]:
    """The groups of which a person has not kept every row."""
    kept = evidence.run.flags.kept
    return [finding.cluster for finding in evidence.findings if not kept[finding.cluster.rows].all()]
