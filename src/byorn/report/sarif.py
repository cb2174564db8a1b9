"""`report.sarif`: the findings in SARIF 2.1.0, which code-scanning services show beside the files.

A result points to the record of the data set: to its line where the file is JSONL, else to the file with the number of
the record in its message and properties. Files are named from the folder that the scan was started in, the root of a
repository as a rule, as services look for them there.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from urllib.parse import quote

from byorn.data.columns import value_of
from byorn.data.rejects import Reject
from byorn.data.row import Origin, Row
from byorn.phrases.words import repeats
from byorn.report.columns import Column, Value
from byorn.report.evidence import Evidence, Finding
from byorn.report.run import Run
from byorn.report.simulation import Simulation
from byorn.report.verdict import judge
from byorn.report.visible import plain
from byorn.report.words import in_inputs, quoted
from byorn.text import shown

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
MOST_RESULTS = 5000
"""Of each rule; services refuse files with more than 25,000."""
Json = dict[str, object]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A kind of result."""

    id: str
    name: str
    short: str
    full: str
    level: str


PLANTED = Rule(
    id="BYORN001",
    name="RepeatedImplausibleResponse",
    short="Responses that repeat a phrase, or whose images share a pattern, and stand out.",
    full="The least plausible responses of the data set share a phrase, as responses that a backdoor plants do. Read "
    "them; take the rows out or have their responses replaced before training.",
    level="error",
)
SOURCE = Rule(
    id="BYORN002",
    name="SourceOfImplausibleResponses",
    short="Rows that stand out come from one source.",
    full="Rows that stand out have one value of a column more often than chance has it, after correction for all "
    "values of all columns.",
    level="warning",
)
REJECT = Rule(
    id="BYORN003",
    name="UnusableRecord",
    short="A record that could not be used.",
    full="The record was skipped, so nothing is known about it. Repair or remove it.",
    level="note",
)
RULES = (PLANTED, SOURCE, REJECT)


def as_sarif(evidence: Evidence) -> Json:
    """The log file as JSON knows it."""
    verdict = judge(evidence)
    results = [*_planted(evidence), *_sources(evidence), *_rejects(evidence)]
    driver = {
        "name": "byorn",
        "semanticVersion": evidence.run.scores.metadata.get("byorn_version") or "0.0.0",
        "rules": [_rule(rule) for rule in RULES],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": True, "toolExecutionNotifications": _unseen(evidence.simulation)}],
        "results": results,
        "properties": {
            "verdict": verdict.sentence,
            "rows": evidence.counts.rows,
            "standingOut": evidence.counts.standing_out,
            "share": evidence.share,
            "simulation": _tried(evidence.simulation),
        },
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _tried(simulation: Simulation | None) -> Json | None:
    """What the scan sees of attacks that were planted in its rows, if that was tried."""
    if simulation is None:
        return None
    return {
        "rate": simulation.rate,
        "attacks": [
            {"name": plain(one.name), "seen": one.seen, "recall": one.recall, "sentence": plain(one.sentence, 600)}
            for one in simulation.attacks
        ],
    }


def _unseen(simulation: Simulation | None) -> list[Json]:
    """A notification for each attack that a report would not name: what a clean verdict says nothing about."""
    hidden = [one for one in simulation.attacks if one.hidden] if simulation else []
    return [{"level": "note", "message": {"text": plain(f"Planted on purpose: {one.sentence}", 600)}} for one in hidden]


def _rule(rule: Rule) -> Json:
    return {
        "id": rule.id,
        "name": rule.name,
        "shortDescription": {"text": rule.short},
        "fullDescription": {"text": rule.full},
        "help": {"text": rule.full},
        "defaultConfiguration": {"level": rule.level},
    }


def _result(rule: Rule, text: str, locations: list[Json], properties: Json, fingerprint: str = "") -> Json:
    marks = {"partialFingerprints": {"row/v1": fingerprint}} if fingerprint else {}
    return {
        "ruleId": rule.id,
        "ruleIndex": RULES.index(rule),
        "level": rule.level,
        "message": {"text": text},
        "locations": locations,
        **marks,
        "properties": properties,
    }


def _planted(evidence: Evidence) -> Iterator[Json]:
    left = MOST_RESULTS
    for number, finding in enumerate(evidence.findings):
        rows = finding.cluster.rows[:left]
        left -= len(rows)
        for place in rows:
            yield _member(evidence.run, evidence.run.rows[int(place)], number, finding)


def _member(run: Run, row: Row, number: int, finding: Finding) -> Json:
    record = f" (record {row.origin.record})" if row.origin.record >= 0 else ""
    phrase = finding.cluster.phrase
    does = f"shares {in_inputs(finding.cluster.statistic)} with others"
    if phrase:
        does = f"{'repeats' if repeats(row.response, phrase) else 'is of a group that repeats'} {quoted(phrase)}"
    text = f"Row {quoted(row.id)}{record} {does}, and its response stands out."
    properties: Json = {"cluster": number, "record": row.origin.record, "turn": row.turn}
    mark = plain(f"{row.id}/{row.turn}", 600)
    return _result(PLANTED, text, _locations(run, row.origin.source, row.origin.record), properties, mark)


def _sources(evidence: Evidence) -> Iterator[Json]:
    for column, value in evidence.guilty[:MOST_RESULTS]:
        yield _source(column, value, evidence)


def _source(column: Column, value: Value, evidence: Evidence) -> Json:
    found = value.standing_out
    count = found.inside if found else 0
    text = (
        f"{count} of {evidence.counts.standing_out} rows that stand out have {plain(column.name)} = "
        f"{quoted(value.value)}, which {value.rows} of {evidence.counts.rows} rows have."
    )
    properties: Json = {"column": plain(column.name), "value": plain(value.value), "p": value.standing_out_p}
    rows = (evidence.run.rows[int(row)] for row in evidence.clusters.rows)
    origin = next((row.origin for row in rows if value_of(row, column.name) == value.value), Origin())
    return _result(SOURCE, text, _locations(evidence.run, origin.source, origin.record), properties)


def _rejects(evidence: Evidence) -> Iterator[Json]:
    for reject in list(evidence.run.rejects)[:MOST_RESULTS]:
        yield _reject(evidence.run, reject)


def _reject(run: Run, reject: Reject) -> Json:
    text = plain(f"Record {reject.index}, {reject.field}: {reject.reason}; {reject.fix}.", 600)
    return _result(REJECT, text, _locations(run, reject.source, reject.index), {"record": reject.index})


def _locations(run: Run, source: str, record: int) -> list[Json]:
    """Where a record stands; nowhere for rows made in memory."""
    if not source:
        return []
    path = _beside(run, _file_of(run, source).replace("\\", "/"))
    physical: Json = {"artifactLocation": {"uri": quote(path, safe="/", errors="replace")}}
    if source.endswith(".jsonl") and record >= 0:
        physical["region"] = {"startLine": record + 1}
    return [{"physicalLocation": physical}]


def _file_of(run: Run, source: str) -> str:
    """The file of a source, without the entry of LLaMA-Factory's `dataset_info.json` before it: `mm:images.json`."""
    data = run.config.get("data", {})
    if names := data.get("name"):
        entries = [f"{shown(name.strip())[1:-1]}:" for name in (names, *names.split(","))]
        return next((source.removeprefix(entry) for entry in entries if source.startswith(entry)), source)
    alone = (Path(str(data.get("source", ""))) / "dataset_info.json").is_file()  # it has one entry, which nobody named
    return source.partition(":")[2] if alone and ":" in source else source


def _beside(run: Run, source: str) -> str:
    """A file of the data set, from the folder that the scan was started in; as it is where the data lie elsewhere."""
    data = PurePath(str(run.config.get("data", {}).get("source", "")))
    if data.is_absolute() or ".." in data.parts or ":" in str(data):
        return source
    folder = data.parent if data.name == source.partition("/")[0] else data
    return (folder / source).as_posix()
