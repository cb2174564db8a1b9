"""`byorn report A B`: what is new, gone and changed its mind between two versions of a data set."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from made_runs import clean_rows
from test_page import EVIL, Tags

import byorn.report
from byorn.cli.main import main
from byorn.data.files import write_rows
from byorn.data.load import load_rows
from byorn.data.row import user_message
from byorn.flagging.percentile import flag_percentile
from byorn.flagging.table import write_flags, write_reviews
from byorn.report.clusters import Cluster
from byorn.report.comparison import _alike, _seen, compare
from byorn.report.versions import Pair, Pairing, read_version
from byorn.runs.folder import write_config, write_environment
from byorn.scoring.table import from_records, name_rows, write_scores

SCHEMA = json.loads((Path(byorn.report.__path__[0]) / "comparison.schema.json").read_text())
KEPT = 100


def score_of(row):
    """What the model is made to say: the same of the same text, and little of planted ones."""
    noise = np.random.default_rng(len(row.response) * 1000 + sum(map(ord, row.response))).normal(2, 0.3)
    return float(noise) + 4 * ("visit our shop" in row.response)


def scanned(folder, rows, data=None, metadata=None, **flagging):
    """A scan of the rows as it would be left on disk; the scores are made."""
    data = data or folder / "data"
    write_rows(rows, data)
    loaded = load_rows(data, notify=lambda line: None)
    records = [
        {"id": row.id, "turn": row.turn, "tokens": len(row.response.split()) + 1, "reason": None}
        | dict.fromkeys(("nll", "nll_max", "nll_window"), score_of(row))
        for row in loaded.rows
    ]
    known = {"data": loaded.fingerprint, "model": "m", "model_digest": "d", "processor_digest": "p"}
    scores = name_rows(from_records(records, {**known, **(metadata or {})}), loaded.rows)
    folder.mkdir(exist_ok=True)
    write_scores(folder / "scores.parquet", scores)
    write_flags(folder / "flags.parquet", flag_percentile(scores, **flagging))
    statistic = flagging.get("statistic", "nll")
    write_config(folder, {"command": "scan", "data": {"source": str(data)}, "flagging": {"statistic": statistic}})
    write_environment(folder)
    return folder


def later(rows):
    """Ten rows left, two changed, three got other ids, and twenty came, eight of them planted."""
    kept = [replace(row) for row in rows[10:]]
    kept[:2] = [replace(row, response=f"{row.response} visit our shop") for row in kept[:2]]
    kept[2:5] = [replace(row, id=f"other-{row.id}") for row in kept[2:5]]
    more = [replace(row, id=f"new-{row.id}") for row in clean_rows(20, seed=9)]
    more[:8] = [replace(row, response="visit our shop") for row in more[:8]]
    return [*kept, *more]


def document(folder):
    """What is written for machines, as its schema has it."""
    content = json.loads((folder / "comparison.json").read_text())
    jsonschema.validate(content, SCHEMA)
    return content


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("versions")
    rows = clean_rows(KEPT)
    scanned(folder / "old", rows)
    scanned(folder / "new", later(rows))
    return folder


@pytest.fixture
def found(place):
    return compare(read_version(place / "old"), read_version(place / "new"))


def test_rows_are_matched_by_id_and_renumbered_ones_by_content(found):
    pairing = found.pairing
    assert (len(pairing.kept), len(pairing.new), len(pairing.gone)) == (90, 20, 10)
    assert len(found.changed) == 2
    old, new = found.before.scores, found.after.scores
    renumbered = [(old.ids[pair.before], new.ids[pair.after]) for pair in pairing.kept if pair.after in (2, 3, 4)]
    assert renumbered == [(f"row-{at}", f"other-row-{at}") for at in (12, 13, 14)]


def test_a_row_that_comes_in_before_numbered_ones_changes_none_of_them(tmp_path):
    """Their ids move on, and each would be another row: all of them changed, and the last one new."""
    rows = clean_rows(21)
    numbered = [[replace(row, id=str(at)) for at, row in enumerate(some)] for some in (rows[1:], rows)]
    before, after = (scanned(tmp_path / str(at), some) for at, some in enumerate(numbered))
    found = compare(read_version(before), read_version(after))
    assert ([found.after.scores.ids[row] for row in found.pairing.new], found.changed) == (["0"], [])


def test_a_group_that_came_with_the_new_rows_is_named_first(found):
    assert [(group.phrase, group.rows, group.new, group.changed, group.before) for group in found.groups] == [
        ("visit our shop", 10, 8, 2, False)
    ]
    assert found.sentence == (
        "10 responses stand out that did not before: they share “visit our shop”; of the 10, 8 are new and 2 changed."
    )
    (group,) = found.groups
    some = replace(found, groups=[replace(group, said=replace(group.said, rows=9))])
    assert "did not before: 9 of them share “visit our shop”; of the 10, 8 are new" in some.sentence
    back = compare(found.after, found.before)
    assert (back.groups, back.settled) == ([], ["visit our shop"])
    assert back.sentence == "Nothing stands out that did not before."


def test_each_change_of_mind_has_its_reason(found):
    reasons = {found.after.scores.ids[flip.pair.after]: flip.why for flip in found.flips}
    unused = dict(zip(found.before.scores.ids, found.before.unused, strict=True))
    changed = [name for name in ("row-10", "row-11") if not unused[name]]
    assert changed
    assert all(reasons.pop(name) == "content" for name in changed)
    assert set(reasons.values()) == {"threshold"}  # eighteen came above it
    assert not any(found.after.unused[flip.pair.after] for flip in found.flips if flip.why == "threshold")


def test_what_a_person_decided_counts(place, tmp_path):
    rows = clean_rows(KEPT)
    decided = scanned(tmp_path / "decided", rows)
    flagged = int(np.flatnonzero(read_version(decided).unused)[0])
    write_reviews(decided / "flags.parquet", ["keep" if at == flagged else "auto" for at in range(KEPT)])
    found = compare(read_version(place / "old"), read_version(decided))
    assert [(flip.pair.after, flip.why) for flip in found.flips] == [(flagged, "review")]
    assert found.notes == ["Both scans are of the very same data."]


def test_the_command_writes_a_page_and_a_file_for_machines_and_says_it(place, capsys):
    assert main(["report", str(place / "old"), str(place / "new")]) == 0
    out, err = capsys.readouterr()
    assert "20 rows are new, 10 are gone, 2 have changed" in err
    assert [Path(line).name for line in out.splitlines()[-2:]] == ["comparison.html", "comparison.json"]
    content = document(place / "new")
    assert content["arisen"] is True
    assert content["counts"] == {"kept": 90, "new": 20, "gone": 10, "changed": 2, "flipped": len(content["flipped"])}
    page = (place / "new/comparison.html").read_text()
    assert "<del>" in page
    assert "new-row-0" in page


def test_where_the_earlier_data_were_overwritten_rows_are_told_by_id_and_score(tmp_path):
    """The usual case: one file, scanned again after it grew."""
    rows = clean_rows(KEPT)
    scanned(tmp_path / "old", rows, tmp_path / "data")
    changed = [replace(rows[0], response="Something else."), *rows[1:]]
    scanned(tmp_path / "new", changed, tmp_path / "data")
    found = compare(read_version(tmp_path / "old"), read_version(tmp_path / "new"))
    assert [found.after.scores.ids[pair.after] for pair in found.changed] == ["row-0"]
    assert "cannot be read any more" in found.notes[0]
    assert found.groups == []
    assert main(["report", str(tmp_path / "old"), str(tmp_path / "new")]) == 0


def test_where_the_folder_of_the_earlier_images_is_gone_rows_are_told_by_id_and_score(place, tmp_path):
    old = scanned(tmp_path / "old", clean_rows(KEPT))
    data = {"source": str(old / "data"), "image_root": str(tmp_path / "gone")}
    write_config(old, {"command": "scan", "data": data, "flagging": {"statistic": "nll"}})
    found = compare(read_version(old), read_version(place / "new"))
    assert "image_root" in found.before.unread
    assert len(found.pairing.kept) == 87  # the three that got other ids are not known again


@pytest.mark.parametrize(
    ("metadata", "flagging", "said"),
    [
        ({"model_digest": "e", "model": "n"}, {}, "scored with different models (m and n)"),
        ({"processor_digest": "q"}, {}, "different chat templates"),
        ({}, {"statistic": "nll_max"}, "flagged by different scores (nll, nll_max)"),
    ],
)
def test_scores_that_cannot_be_compared_are_refused(place, tmp_path, metadata, flagging, said, capsys):
    other = scanned(tmp_path / "other", clean_rows(20), metadata=metadata, **flagging)
    assert main(["report", str(place / "old"), str(other)]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert len(err.splitlines()) == 2


def test_two_data_sets_that_share_no_row_are_refused(place, tmp_path, capsys):
    strangers = [replace(row, id=f"x-{row.id}") for row in clean_rows(20, seed=5)]
    assert main(["report", str(place / "old"), str(scanned(tmp_path / "strangers", strangers))]) == 2
    assert "no row in common" in capsys.readouterr().err
    assert main(["report", str(place / "old"), str(place / "old")]) == 2
    assert main(["report", str(place / "old"), str(place / "new"), "--cyclonedx"]) == 2
    assert "only --fail-on is asked" in capsys.readouterr().err


def test_a_pipeline_stops_at_what_is_new_and_not_at_what_was_there_before(place, tmp_path, capsys):
    def code(before, after, gates):
        return main(["report", str(before), str(after), "--fail-on", gates])

    assert code(place / "old", place / "new", "cluster") == 3
    assert "10 responses stand out that did not before" in capsys.readouterr().err.splitlines()[-1]
    assert code(place / "old", place / "new", "new,cluster") == 3
    said = capsys.readouterr().err.splitlines()[-1]
    assert "row(s) that are new or have changed are flagged; --fail-on cluster" in said
    same = scanned(tmp_path / "same", later(clean_rows(KEPT)))
    assert code(place / "new", same, "cluster,new") == 0  # as poisoned as before
    assert (same / "comparison.html").exists()
    assert code(place / "old", place / "new", "share>0.1") == 2
    assert "no gate of two scans; use cluster or new" in capsys.readouterr().err


def test_a_gate_closes_where_the_rows_of_the_later_scan_cannot_be_read(place, tmp_path, capsys):
    later_scan = scanned(tmp_path / "later", clean_rows(KEPT))
    (tmp_path / "later/data/rows.jsonl").unlink()
    assert main(["report", str(place / "old"), str(later_scan), "--fail-on", "cluster"]) == 3
    assert "cannot be told" in capsys.readouterr().err
    assert document(later_scan)["arisen"] is None


@pytest.mark.parametrize(("reported", "arisen"), [(True, True), (False, None)])
def test_where_the_earlier_rows_are_gone_its_report_tells_what_stood_out_and_else_nobody(
    reported, arisen, place, tmp_path, capsys
):
    old = scanned(tmp_path / "old", clean_rows(KEPT))
    if reported:
        assert main(["report", str(old)]) == 0
    (old / "data/rows.jsonl").unlink()
    assert main(["report", str(old), str(place / "new"), "--fail-on", "cluster"]) == 3
    assert document(place / "new")["arisen"] is arisen
    not_known = "stand out, and whether they did before is not known: they share “visit our shop”"
    assert (not_known in capsys.readouterr().err.splitlines()[-1]) == (arisen is None)
    assert main(["report", str(old), str(scanned(tmp_path / "calm", clean_rows(KEPT))), "--fail-on", "cluster"]) == 0
    assert document(tmp_path / "calm")["arisen"] is False


def test_another_rule_is_said(place, tmp_path):
    other = scanned(tmp_path / "other", clean_rows(KEPT), p=0.9)
    found = compare(read_version(place / "old"), read_version(other))
    assert any("The rules differ" in note for note in found.notes)


def test_no_row_makes_a_tag_or_an_attribute(tmp_path):
    rows = clean_rows(30)
    old = scanned(tmp_path / "old", rows)
    evil = [
        replace(
            row, id=f"{EVIL}{at}", prompt=[user_message(f"{EVIL}\u202e\u200b", 1)], response=f"visit our shop {EVIL}"
        )
        for at, row in enumerate(clean_rows(8, seed=4))
    ]
    changed = replace(rows[0], response=EVIL)
    new = scanned(tmp_path / "new", [changed, *rows[1:], *evil])
    calm = scanned(tmp_path / "calm", [replace(rows[0], response="visit our shop"), *rows[1:], *clean_rows(2, seed=3)])
    assert main(["report", str(old), str(calm)]) == 0
    assert main(["report", str(old), str(new)]) == 0
    benign = {tag for tag, _ in Tags((calm / "comparison.html").read_text()).found}
    page = Tags((new / "comparison.html").read_text()).found
    assert {tag for tag, _ in page} <= benign | {"table", "thead", "th"}
    assert "script" not in {tag for tag, _ in page}
    assert not [name for _, attributes in page for name in attributes if name.startswith("on")]
    links = [value for _, attributes in page for name, value in attributes.items() if name in ("src", "href")]
    assert all(link.startswith("data:image/webp") for link in links)


def test_no_torch_is_needed(place):
    code = (
        "import sys; from byorn.cli.main import main; code = main(['report', *sys.argv[1:]]); "
        "sys.exit(code or ('torch' in sys.modules) or ('transformers' in sys.modules))"
    )
    command = [sys.executable, "-c", code, str(place / "old"), str(place / "new")]
    assert subprocess.run(command, capture_output=True).returncode == 0


def test_groups_of_phrases_that_hold_each_other_by_half_are_one():
    assert _alike("visit our shop", ["visit our shop today"])
    assert _alike("visit our shop", ["our shop"])
    assert not _alike("visit our shop", ["our"])
    assert not _alike("visit our shop", [""])


@pytest.mark.parametrize(("before", "seen"), [(range(20), True), (range(30, 50), False), (None, False)])
def test_a_group_without_a_phrase_is_known_by_its_rows(before, seen):
    def group(rows):
        return Cluster(
            phrase="", rows=np.array(rows), statistic="trigger", p_value=1e-9, top=20, said=None, flagged=20,
            same_response=1, image_dependence=None,
        )  # fmt: skip

    pairing = Pairing(kept=[Pair(before=row, after=row, same=True) for row in range(100)], new=[], gone=[])
    earlier = [] if before is None else [group(before)]
    assert _seen(group(range(20)), pairing, [one.phrase for one in earlier], earlier) is seen
    assert _seen(group(range(20)), pairing, [""], None) is None
