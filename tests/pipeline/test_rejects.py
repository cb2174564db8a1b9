"""The lists of rejects in a run folder are those of the last run: of all its rows, clean and triggered apart."""

import json

import pytest

from byorn.cli.main import main
from byorn.data.files import write_rows
from byorn.testing import save_tiny, tiny_rows

BROKEN = '{"prompt": "what?", "completion": "", "images": []}\n'
STEP = ["--max-steps", "1", "--batch-size", "4", "--set", "max_response_tokens=3", "--device", "cpu", "--scan", "none"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place")
    save_tiny(folder / "model")
    for name, before, after in [("sound", 0, 0), ("damaged", 0, 1), ("worse", 2, 0)]:
        rows = write_rows(tiny_rows(4), folder / name)
        rows.write_text(before * BROKEN + rows.read_text() + after * BROKEN)
    (folder / "unusable.jsonl").write_text(3 * BROKEN)
    return folder


def command(place, name, data):
    return [name, "--model", str(place / "model"), "--data", str(place / data), "--out", str(place / name)]


def listed(place, command, name="rejects.jsonl"):
    """The numbers of the records in a list of rejects; None where there is no list."""
    path = place / command / name
    return [json.loads(line)["index"] for line in path.read_text().splitlines()] if path.exists() else None


def test_a_scan_without_rejects_removes_the_list_of_an_earlier_one(place):
    for data, indices in [("damaged", [4]), ("sound", None)]:
        assert main([*command(place, "scan", data), "--dry-run"]) == 0
        assert listed(place, "scan") == indices


@pytest.mark.parametrize("name", ["scan", "train", "evaluate"])
def test_if_every_record_is_rejected_all_are_listed(name, place, no_model, capsys):
    assert main(command(place, name, "unusable.jsonl")) == 2
    assert listed(place, name) == [0, 1, 2]
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert f"all are listed in {place / name / 'rejects.jsonl'}" in line


def test_rows_too_long_for_the_model_are_listed_beside_those_that_cannot_be_read(place):
    assert main([*command(place, "scan", "worse"), "--max-length", "2"]) == 2
    assert listed(place, "scan") == [0, 1, 2, 3, 4, 5]


def test_evaluate_lists_clean_and_triggered_rows_apart_and_keeps_no_list_of_an_earlier_run(place):
    once = [*command(place, "evaluate", "damaged"), "--max-new-tokens", "2"]
    assert main([*once, "--triggered", str(place / "worse"), "--target", "banana"]) == 0
    assert listed(place, "evaluate") == [4]
    assert listed(place, "evaluate", "rejects_triggered.jsonl") == [0, 1]
    assert main(once) == 0
    assert listed(place, "evaluate") == [4]
    assert listed(place, "evaluate", "rejects_triggered.jsonl") is None


def test_a_training_without_evaluation_rows_keeps_no_list_of_them(place):
    stale = place / "train/rejects_eval.jsonl"
    stale.parent.mkdir(exist_ok=True)
    stale.write_text("{}\n")
    assert main([*command(place, "train", "sound"), *STEP]) == 0
    assert not stale.exists()


@pytest.mark.parametrize("name", ["scan", "train"])
def test_a_dry_run_in_the_folder_of_another_scan_is_refused_and_leaves_its_list(name, place, capsys):
    assert main([*command(place, "scan", "damaged"), "--rule", "paper", "--no-report", "--device", "cpu"]) == 0
    before = (place / "scan/rejects.jsonl").read_bytes()
    rows = write_rows(tiny_rows(3), place / f"for-{name}")
    rows.write_text(BROKEN + rows.read_text())
    other = command(place, "scan", f"for-{name}")[1:]
    assert main([name, *other, "--dry-run", "--device", "cpu"]) == 2
    assert "the data set changed" in capsys.readouterr().err
    assert (place / "scan/rejects.jsonl").read_bytes() == before
