"""For machines: JSON by its schema, SARIF by the structure of the standard, gates."""

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from made_runs import attacked, clean_rows, made_run

import byorn.report
from byorn.data.rejects import Reject
from byorn.data.row import Origin
from byorn.errors import ConfigError, GateExceeded
from byorn.evaluation.canaries import sight
from byorn.report.cyclonedx import as_cyclonedx
from byorn.report.document import VERSION, as_document
from byorn.report.evidence import gather
from byorn.report.gates import check_gates, parse_gates
from byorn.report.sarif import as_sarif
from byorn.report.simulation import Named, Simulated, Simulation

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


def test_the_entry_of_a_folder_that_was_scanned_is_named_beside_it():
    run = replace(attacked(), config={"data": {"source": "data", "name": "mm,pairs"}})
    content = plain(as_document(gather(run)))
    jsonschema.validate(content, SCHEMA)
    assert (content["provenance"]["data"], content["provenance"]["entry or configuration"]) == ("data", "mm,pairs")


def test_the_command_of_the_scan_can_be_given_again_as_it_stands_there():
    command = ["byorn", "scan", "--data", "my data", "--out", "runs/it's"]
    told = gather(replace(attacked(), environment={"command": command})).provenance["command"]
    assert shlex.split(told) == command


@pytest.mark.parametrize("which", ["evidence", "clean"])
def test_a_bill_of_materials_is_one_by_its_own_library(which, request):
    text = as_cyclonedx(request.getfixturevalue(which))
    assert JsonStrictValidator(SchemaVersion.V1_7).validate_str(text) is None
    assert as_cyclonedx(request.getfixturevalue(which)) == text


def test_a_bill_of_materials_names_what_stands_out_and_its_control(evidence):
    data, model = json.loads(as_cyclonedx(evidence))["components"]
    said = {entry["name"]: entry["value"] for entry in data["properties"]}
    assert [data["type"], model["type"]] == ["data", "machine-learning-model"]
    assert said["byorn:stands_out"] == "true"
    assert said["byorn:cluster:0:phrase"] == "visit our shop"
    assert said["byorn:rows"] == str(evidence.counts.rows)
    assert "1.3.1" in said["byorn:control"]


@pytest.fixture(scope="module")
def tried(evidence):
    """The same scan after a simulation: one attack is seen, one is not, and one could not be planted."""
    seen = sight(np.arange(100.0), np.arange(100) >= 90, np.arange(100) >= 90)
    unseen = sight(np.arange(100.0), np.arange(100) >= 90, np.arange(100) < 10)
    attacks = [
        Simulated(name="badnets:sentence", sight=seen, named=Named(planted=10, others=0, phrase="banana")),
        Simulated(name="badnets:truth:dog", sight=unseen, named=Named(planted=0, others=0, phrase="")),
        Simulated(name="badnets:two-image", reason="no row has two images"),
    ]
    return replace(evidence, simulation=Simulation(scan={}, rows=100, rate=0.1, seed=0, attacks=attacks))


def test_findings_come_with_what_the_scan_sees_of_planted_attacks(tried, evidence):
    log = plain(as_sarif(tried))
    jsonschema.validate(log, SARIF)
    (run,) = log["runs"]
    assert [(one["name"], one["seen"]) for one in run["properties"]["simulation"]["attacks"]] == [
        ("badnets:sentence", "seen"),
        ("badnets:truth:dog", "unseen"),
        ("badnets:two-image", "not planted"),
    ]
    (told,) = run["invocations"][0]["toolExecutionNotifications"]
    assert "badnets:truth:dog: 0 of 10 planted rows are flagged" in told["message"]["text"]
    assert plain(as_sarif(evidence))["runs"][0]["properties"]["simulation"] is None


def test_a_bill_of_materials_says_what_the_scan_sees_of_planted_attacks(tried):
    text = as_cyclonedx(tried)
    assert JsonStrictValidator(SchemaVersion.V1_7).validate_str(text) is None
    said = {entry["name"]: entry["value"] for entry in json.loads(text)["components"][0]["properties"]}
    assert said["byorn:simulation:0:attack"] == "badnets:sentence"
    assert said["byorn:simulation:0:recall"].startswith("10 of 10 [")
    assert said["byorn:simulation:0:named"] == "10 of 10"
    assert said["byorn:simulation:1:seen"] == "unseen"
    assert "byorn:simulation:2:recall" not in said


def test_without_the_library_the_extra_is_named(evidence, monkeypatch):
    monkeypatch.setitem(sys.modules, "cyclonedx.model.bom", None)
    with pytest.raises(ConfigError, match=r"byorn\[bom\]"):
        as_cyclonedx(evidence)


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


@pytest.mark.parametrize(
    ("data", "file", "uri"),
    [
        ("data/train.jsonl", "train.jsonl", "data/train.jsonl"),
        ("data/mine", "train/0.jsonl", "data/mine/train/0.jsonl"),
        ("data/saved", "saved/data.arrow", "data/saved/data.arrow"),
        ("/elsewhere/data", "train.jsonl", "train.jsonl"),
        ("../data", "train.jsonl", "train.jsonl"),
        ("hub:owner/name", "train.parquet", "train.parquet"),
    ],
)
def test_files_are_named_from_where_the_scan_was_started_as_services_look_for_them(data, file, uri):
    run = attacked()
    rows = [replace(row, origin=Origin(file, at)) for at, row in enumerate(run.rows)]
    result = as_sarif(gather(replace(run, rows=rows, config={"data": {"source": data}})))["runs"][0]["results"][0]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == uri


@pytest.mark.parametrize("names", ["mm", "pairs, mm", None])
def test_an_entry_of_dataset_info_is_no_part_of_the_name_of_its_file(names, tmp_path, monkeypatch):
    """Code-scanning services look for the file in the repository."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "dataset_info.json").write_text('{"mm": {"file_name": "a:b.json"}}')
    run = attacked()
    rows = [replace(row, origin=Origin("mm:a:b.json", at)) for at, row in enumerate(run.rows)]
    config = {"data": {"source": "data", "name": names}}
    result = as_sarif(gather(replace(run, rows=rows, config=config)))["runs"][0]["results"][0]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "data/a%3Ab.json"


def test_hostile_file_names_stay_one_address():
    run = attacked()
    rows = [replace(row, origin=Origin('a b"\n<ü>.jsonl', at)) for at, row in enumerate(run.rows)]
    result = as_sarif(gather(replace(run, rows=rows)))["runs"][0]["results"][0]
    assert (
        result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        == "data/rows.jsonl/a%20b%22%0A%3C%C3%BC%3E.jsonl"
    )


@pytest.mark.parametrize("gate", ["cluster", "source", "share>0.05", "share > 5e-2"])
def test_gates_close_on_a_poisoned_set(evidence, gate):
    with pytest.raises(GateExceeded):
        check_gates(parse_gates([gate]), evidence)


def test_gates_are_open_below_their_limit(evidence, clean):
    check_gates(parse_gates(["share>0.06"]), evidence)
    check_gates(parse_gates(["cluster", "source", "share>0"]), clean)


def test_a_group_that_a_person_has_kept_closes_no_gate():
    def check(run, kept):
        words = ["keep" if place in kept else "auto" for place in range(len(run.rows))]
        check_gates(parse_gates(["cluster"]), gather(replace(run, flags=replace(run.flags, review=words))))

    run = attacked()
    group = set(gather(run).findings[0].cluster.rows.tolist())
    check(run, group)
    with pytest.raises(GateExceeded):
        check(run, group - {min(group)})


@pytest.mark.parametrize("gate", ["", "flags", "share", "share>", "share<0.1", "share>1", "share>nan", "new"])
def test_what_is_no_gate_is_refused(gate):
    with pytest.raises(ConfigError):
        parse_gates([gate])
