"""`byorn rewrite`: who trains with another tool gets the data set without what the scan flagged."""

import json
import shutil

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scan_and_rewrite import decide, flagged_ids, lines, rewrite, scan, scanned

from byorn.cli.main import main
from byorn.data.load import load_rows
from byorn.data.row import ImageFile, Row, user_message
from byorn.flagging.table import read_flags
from byorn.models.generate import Generated
from byorn.testing import tiny_model, tiny_rows


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return scanned(tmp_path_factory.mktemp("place"))


def test_flagged_rows_go_into_a_quarantine_of_the_same_format(place, capsys):
    assert rewrite(place, "scan", "drop", "drop") == 0
    captured = capsys.readouterr()
    assert captured.out == f"{place / 'drop/data'}\n"
    assert "7 records in" in captured.err
    assert "5 in" in captured.err
    assert "against byorn train" in captured.err
    then = f"byorn verify {place / 'scan'} --adapter ADAPTER"
    assert captured.err.endswith(f"next: train on {place / 'drop/data'}, then {then}\n")
    before = lines(place / "data/rows.jsonl")
    gone = set(flagged_ids(place))
    assert lines(place / "drop/data/rows.jsonl") == [line for line in before if json.loads(line)["id"] not in gone]
    assert lines(place / "drop/quarantine/rows.jsonl") == [line for line in before if json.loads(line)["id"] in gone]
    assert len(load_rows(place / "drop/data").rows) == 7
    assert len(load_rows(place / "drop/quarantine").rows) == 5


def test_what_a_person_decided_wins(place):
    shutil.copytree(place / "scan", place / "reviewed")
    flagged = flagged_ids(place)
    trusted = next(row.id for row in tiny_rows(12) if row.id not in flagged)
    decide(place / "reviewed/flags.parquet", {flagged[0]: "keep", flagged[1]: "drop", trusted: "replace"})
    assert rewrite(place, "reviewed", "by-hand", "replace") == 0
    summary = json.loads((place / "by-hand/rewrite.json").read_text())
    assert summary["reviews"] == {"keep": 1, "replace": 1, "drop": 1}
    before = {row.id: row.response for row in load_rows(place / "data").rows}
    after = {row.id: row.response for row in load_rows(place / "by-hand/data").rows}
    assert flagged[1] not in after
    assert after[flagged[0]] == before[flagged[0]]
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {trusted, *flagged[2:]}
    assert [row.id for row in load_rows(place / "by-hand/quarantine").rows] == [flagged[1]]


def test_marks_are_flag_and_score(place):
    assert rewrite(place, "scan", "mark", "mark") == 0
    rows = load_rows(place / "mark/data").rows
    scores = pq.read_table(place / "scan/scores.parquet")["nll"].to_pylist()
    assert [row.meta["byorn_score"] for row in rows] == pytest.approx(scores)
    assert [row.id for row in rows if row.meta["byorn_flagged"]] == flagged_ids(place)
    assert lines(place / "data/rows.jsonl")[0][:-1] in lines(place / "mark/data/rows.jsonl")[0]
    assert not (place / "mark/quarantine").exists()


def test_changed_data_are_refused_before_the_model_is_loaded(place, capsys, no_model):
    shutil.copytree(place / "data", place / "changed")
    path = place / "changed/rows.jsonl"
    path.write_text(path.read_text().replace("a blue square", "a blue squire", 1))
    assert rewrite(place, "scan", "out", "replace", "--data", str(place / "changed")) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "the data set changed since it was written" in error
    assert "scan again" in error
    assert not (place / "out/data").exists()


def test_another_model_is_refused(place, capsys):
    (place / "other-model").mkdir()
    processor_files = [path for path in (place / "model").iterdir() if "safetensors" not in path.name]
    for path in processor_files:
        shutil.copy(path, place / "other-model")
    tiny_model(seed=1).save_pretrained(place / "other-model")
    assert rewrite(place, "scan", "strange", "replace", "--model", str(place / "other-model")) == 2
    assert "the model changed" in capsys.readouterr().err


@pytest.mark.parametrize("given", [["--seed", "7"], ["--response-temperature", "2"], ["--max-response-tokens", "9"]])
def test_settings_of_sampling_are_refused_where_nothing_is_sampled(place, given, capsys, no_model):
    assert rewrite(place, "scan", "unsampled", "mark", *given) == 2
    name = given[0].strip("-").replace("-", "_")
    assert f"error: {name}: mode mark samples nothing" in capsys.readouterr().err
    assert not (place / "unsampled").exists()


@pytest.mark.parametrize("out", ["data", "data/inside", ".", "scan", "occupied"])
def test_no_data_set_is_written_over(place, out, capsys, no_model):
    (place / "occupied").mkdir(exist_ok=True)
    (place / "occupied/mine.txt").write_text("mine")
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*")}
    assert rewrite(place, "scan", out, "drop") == 2
    assert "--out" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in place.rglob("*")} == before


def test_other_decisions_are_not_mixed_with_what_was_begun(place, capsys):
    shutil.copytree(place / "scan", place / "later")
    assert rewrite(place, "later", "mixed", "drop") == 0
    decide(place / "later/flags.parquet", {"row-0": "drop"})
    assert rewrite(place, "later", "mixed", "drop") == 2
    assert "decisions" in capsys.readouterr().err


def test_a_set_of_which_nothing_is_left_is_refused(place, capsys):
    shutil.copytree(place / "scan", place / "emptied")
    decide(place / "emptied/flags.parquet", {f"row-{number}": "drop" for number in range(12)})
    assert rewrite(place, "emptied", "nothing", "drop") == 2
    assert "every record" in capsys.readouterr().err


def conversations(place):
    """Four chats of three turns each, the second of which says the attacker's phrase twice."""
    records = []
    for number in range(4):
        turns = []
        for turn in range(3):
            said = "visit our shop!" if number == 1 and turn < 2 else f"blue {turn}"
            turns += [{"from": "human", "value": f"color {turn}?"}, {"from": "gpt", "value": said}]
        records.append({"id": f"c{number}", "conversations": turns})
    path = place / "chats"
    path.mkdir(exist_ok=True)
    (path / "chats.json").write_text(json.dumps(records))
    return records


def test_a_scan_of_the_last_answers_says_that_it_has_not_seen_the_others(place, capsys):
    """Who trains every turn on what `rewrite` leaves would learn the phrase of the second chat."""
    conversations(place)
    assert scan(place, "chats/chats.json", "last") == 0
    spot = "8 earlier answers of conversations, which were not scored"
    report = (place / "last/report.json").read_bytes()
    assert any(one.startswith(spot) for one in json.loads(report)["verdict"]["blind_spots"])
    assert main(["report", str(place / "last")]) == 0
    assert (place / "last/report.json").read_bytes() == report

    capsys.readouterr()
    assert rewrite(place, "last", "unseen", "drop") == 0
    assert "8 earlier answer(s) of conversations are context alone, neither scored" in capsys.readouterr().err


def test_a_conversation_goes_as_a_whole_and_is_answered_turn_by_turn(place, monkeypatch):
    before = conversations(place)
    assert scan(place, "chats/chats.json", "turns", "--turns", "all") == 0
    words = [*["keep"] * 3, "replace", "replace", "keep", *["keep"] * 6]
    path = place / "turns/flags.parquet"
    table = pq.read_table(path)
    pq.write_table(table.set_column(table.column_names.index("review"), "review", pa.array(words)), path)

    assert rewrite(place, "turns", "cut", "drop") == 0
    kept = json.loads((place / "cut/data/chats.json").read_text())
    assert kept == [before[0], before[2], before[3]]
    assert json.loads((place / "cut/quarantine/chats.json").read_text()) == [before[1]]

    assert rewrite(place, "turns", "noted", "mark") == 0
    noted = json.loads((place / "noted/data/chats.json").read_text())
    scores = pq.read_table(place / "turns/scores.parquet")["nll"].to_pylist()
    assert [record.pop("byorn_flagged") for record in noted] == [False, True, False, False]
    assert [record.pop("byorn_score") for record in noted] == [max(scores[start : start + 3]) for start in (0, 3, 6, 9)]
    assert noted == before

    asked = []
    from byorn.training.responses import SampledResponses

    def answer(self, model, rows, step):
        asked.extend(json.dumps(row["prompt"]) for row in rows)
        return [Generated(f"new {row['turn']}", 2, False) for row in rows]

    monkeypatch.setattr(SampledResponses, "__call__", answer)
    assert rewrite(place, "turns", "answered", "replace") == 0
    after = json.loads((place / "answered/data/chats.json").read_text())
    assert [turn["value"] for turn in after[1]["conversations"][1::2]] == ["new 0", "new 1", "blue 2"]
    assert [after[0], *after[2:]] == [before[0], *before[2:]]
    assert len(asked) == 2
    assert not any("shop" in prompt for prompt in asked)
    assert "new 0" in asked[1]


def test_what_could_not_be_read_is_in_neither_part(place, capsys):
    (place / "partly").mkdir()
    good = [json.dumps({"prompt": f"q{n}", "completion": f"answer {n}"}) for n in range(6)]
    (place / "partly/train.jsonl").write_text("\n".join([*good[:3], "{broken", *good[3:]]) + "\n")
    assert scan(place, "partly/train.jsonl", "partly-scan") == 0
    assert rewrite(place, "partly-scan", "partly-out", "drop") == 0
    assert "1 records were never scored" in capsys.readouterr().err
    both = [place / f"partly-out/{part}/train.jsonl" for part in ("data", "quarantine")]
    assert sorted(line for path in both for line in lines(path)) == good
    assert (place / "partly-out/rejects.jsonl").exists()


@pytest.mark.parametrize("mode", ["drop", "mark"])
def test_nothing_passes_in_a_turn_that_was_too_long_to_be_scored(place, mode, capsys):
    """The other turns of its conversation were scored, and nothing is wrong with them."""
    before = conversations(place)
    before[2]["conversations"] += [{"from": "human", "value": "and?"}, {"from": "gpt", "value": "visit our shop " * 99}]
    (place / "hiding").mkdir(exist_ok=True)
    (place / "hiding/chats.json").write_text(json.dumps(before))
    run = f"hiding-{mode}"
    assert scan(place, "hiding/chats.json", run, "--turns", "all", "--max-length", "200", "--percentile", "1") == 0
    assert len(lines(place / run / "rejects.jsonl")) == 1
    assert rewrite(place, run, f"{run}-out", mode) == 0
    assert "1 records were never scored" in capsys.readouterr().err
    kept = json.loads((place / f"{run}-out/data/chats.json").read_text())
    assert [record["id"] for record in kept] == ["c0", "c1", "c3"]
    assert not (place / f"{run}-out/quarantine").exists()


def test_the_provenance_names_data_scan_and_files(place):
    import hashlib

    assert rewrite(place, "scan", "told", "drop", "--images", "copy") == 0
    summary = json.loads((place / "told/rewrite.json").read_text())
    scores = pq.read_schema(place / "scan/scores.parquet").metadata
    assert summary["data"]["fingerprint"] == scores[b"data"].decode()
    assert summary["scan"]["model_digest"] == scores[b"model_digest"].decode()
    assert summary["counts"] | {"records": 7, "quarantined": 5} == summary["counts"]
    for name, digest in summary["files"].items():
        assert hashlib.sha256((place / "told" / name).read_bytes()).hexdigest() == digest
    image = next((place / "told/data/images").iterdir())
    assert not image.samefile(place / "data/images" / image.name)


def test_images_without_a_path_need_none(tmp_path):
    from byorn.rewriting.images import carry_images

    row = Row("a", 0, [user_message("q", 1)], "a", [ImageFile(data=b"x")])
    assert carry_images([row], tmp_path, link=True) == 0


def test_a_data_set_of_the_hub_becomes_a_folder_as_the_hub_lays_it_out(place, tmp_path, monkeypatch):
    """The Hub is a folder here, to which `datasets` is sent."""
    records = [{"id": row.id, "prompt": row.instruction, "completion": row.response} for row in tiny_rows(12)]
    online = datasets.Dataset.from_list(records)
    monkeypatch.setattr(datasets, "load_dataset", lambda name, *more, **options: online)
    options = ["--model", str(place / "model"), "--device", "cpu", "--show", "0", "--rule", "paper", "--no-report"]
    assert main(["scan", "--data", "hub:owner/name", "--out", str(tmp_path / "scan"), *options]) == 0
    assert main(["rewrite", str(tmp_path / "scan"), "--mode", "drop", "--out", str(tmp_path / "out")]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"data", "quarantine", "rewrite.json"}
    assert not (tmp_path / "out/hub").exists()
    flags = read_flags(tmp_path / "scan/flags.parquet")
    gone = {name for name, flag in zip(flags.ids, flags.flagged, strict=True) if flag}
    assert gone
    assert {row.id for row in load_rows(tmp_path / "out/quarantine").rows} == gone
    kept = {row.id: row.response for row in load_rows(tmp_path / "out/data").rows}
    assert kept == {record["id"]: record["completion"] for record in records if record["id"] not in gone}
