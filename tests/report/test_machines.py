"""For machines: JSON by its schema, SARIF by the structure of the standard, gates."""

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from made_runs import attacked, clean_rows, made_run

import byorn.report
from byorn.data.rejects import Reject
from byorn.data.row import Origin
from byorn.errors import ConfigError, GateExceeded
from byorn.report.document import VERSION, as_document
from byorn.report.evidence import gather
from byorn.report.gates import check_gates, parse_gate
from byorn.report.sarif import as_sarif

SCHEMA = json.loads((Path(byorn.report.__path__[0]) / "report.schema.json").read_text())
SARIF = json.loads((Path(__file__).parent / "sarif-subset.schema.json").read_text())


@pytest.fixture(scope="module")
def evidence():
    run = attacked(meta={"uploader": "mallory"})
    return gather(replace(run, rejects=[Reject("rows.jsonl", 7, None, "images", "no such file", "correct the path")]))


@pytest.fixture(scope="module")
def clean():
    return gather(made_run(clean_rows(60), np.random.default_rng(0).normal(2, 0.3, 60)))


def plain(content):
    """As a file would hold it."""
    return json.loads(json.dumps(content, allow_nan=False))


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["version"]["const"] == VERSION


@pytest.mark.parametrize("which", ["evidence", "clean"])
def test_both_documents_fit_their_schemas(which, request):
    found = request.getfixturevalue(which)
    jsonschema.validate(plain(as_document(found)), SCHEMA)
    jsonschema.validate(plain(as_sarif(found)), SARIF)


def test_the_schema_knows_every_field(evidence):
    document = plain(as_document(evidence))
    assert document.keys() == SCHEMA["properties"].keys()
    assert document["clusters"][0].keys() == SCHEMA["$defs"]["cluster"]["properties"].keys()
    assert document["columns"][0]["values"][0].keys() == SCHEMA["$defs"]["value"]["properties"].keys()


def test_the_document_holds_what_a_machine_asks_for(evidence):
    document = as_document(evidence)
    assert document["verdict"]["stands_out"]
    assert document["share"] == 0.06
    members = document["clusters"][0]["members"]
    assert sorted(row["record"] for row in members) == list(range(12))
    assert all(row["flagged"] for row in members)


def test_results_point_to_the_line_of_the_record(evidence):
    results = as_sarif(evidence)["runs"][0]["results"]
    assert [result["ruleId"] for result in results] == ["BYORN001"] * 12 + ["BYORN002", "BYORN003"]
    lines = [result["locations"][0]["physicalLocation"]["region"]["startLine"] for result in results[:12]]
    assert sorted(lines) == list(range(1, 13))


def test_hostile_file_names_stay_one_address():
    run = attacked()
    rows = [replace(row, origin=Origin('a b"\n<ü>.jsonl', at)) for at, row in enumerate(run.rows)]
    result = as_sarif(gather(replace(run, rows=rows)))["runs"][0]["results"][0]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "a%20b%22%0A%3C%C3%BC%3E.jsonl"


@pytest.mark.parametrize("gate", ["cluster", "source", "share>0.05", "share > 5e-2"])
def test_gates_close_on_a_poisoned_set(evidence, gate):
    with pytest.raises(GateExceeded):
        check_gates([parse_gate(gate)], evidence)


def test_gates_are_open_below_their_limit(evidence, clean):
    check_gates([parse_gate("share>0.06")], evidence)
    check_gates([parse_gate(gate) for gate in ("cluster", "source", "share>0")], clean)


@pytest.mark.parametrize("gate", ["", "flags", "share", "share>", "share<0.1", "share>1", "share>nan"])
def test_what_is_no_gate_is_refused(gate):
    with pytest.raises(ConfigError):
        parse_gate(gate)
