"""`--fail-on`: what ends a command with exit code 3.

cluster       any group of rows stands out
source        rows that stand out come from one value of a column (or one file) more often than chance has it
share>0.01    more than that share of the rows stands out
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from byorn.errors import ConfigError, GateExceeded
from byorn.report.evidence import Evidence
from byorn.report.visible import plain
from byorn.report.words import percent, quoted

_SHARE = re.compile(r"share\s*>\s*(\d+(?:\.\d*)?|\.\d+)(e-?\d+)?")
KNOWN = "cluster, source, or share>NUMBER such as 'share>0.01'"


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One condition; `limit` is that of a share."""

    kind: str
    limit: float = 0.0


def parse_gate(text: str) -> Gate:
    """A gate as the command line gives it.

    Raises:
        ConfigError: It is none, or its share is not below 1.
    """
    if text.strip() in ("cluster", "source"):
        return Gate(kind=text.strip())
    match = _SHARE.fullmatch(text.strip())
    if not match:
        raise ConfigError(f"--fail-on {text[:60]!r} is no gate; use {KNOWN}")
    limit = float(match[1] + (match[2] or ""))
    if limit >= 1:
        raise ConfigError(f"--fail-on {text[:60]!r}: a share is below 1; write 0.01 for one percent")
    return Gate(kind="share", limit=limit)


def check_gates(gates: Sequence[Gate], evidence: Evidence) -> None:
    """Raise where a gate is exceeded.

    Raises:
        GateExceeded: Naming all of them.
    """
    exceeded = [said for gate in gates if (said := _exceeded(gate, evidence))]
    if exceeded:
        raise GateExceeded("; ".join(exceeded))


def _exceeded(gate: Gate, evidence: Evidence) -> str:
    """What is wrong, or nothing."""
    if gate.kind == "cluster" and evidence.findings:
        phrase = quoted(evidence.findings[0].cluster.phrase)
        return f"--fail-on cluster: {len(evidence.findings)} group(s) of rows stand out, the first by {phrase}"
    if gate.kind == "source" and evidence.guilty:
        column, value = evidence.guilty[0]
        return f"--fail-on source: rows that stand out have {plain(column.name, 60)} = {quoted(value.value)}"
    if gate.kind == "share" and evidence.share > gate.limit:
        return f"--fail-on share>{gate.limit:g}: {percent(evidence.share)} of the rows stand out"
    return ""
