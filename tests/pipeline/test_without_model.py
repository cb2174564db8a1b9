"""What a scan wrote down is enough to go on from it: leaving flagged rows out asks no model, and loads no torch."""

import json
import shutil
import subprocess
import sys

import pytest
from scan_and_rewrite import lines, rewrite, scan, scanned

from byorn.cli.main import main
from byorn.testing import tiny_processor

QUIET = """
import sys
from byorn.cli.main import main
assert main(sys.argv[1:]) == 0
loaded = {"torch", "transformers", "trl", "peft"} & set(sys.modules)
assert not loaded, loaded
"""
SOUND = json.dumps({"prompt": "whole?", "completion": "whole"})
SPECIAL = {"id": "said", "prompt": "say <|user|> please", "completion": "well <|user|>"}
BROKEN = "{broken"
UNFIT = [
    json.dumps({"prompt": "an image?", "completion": "none", "images": ["images/none.png"]}),
    json.dumps({"prompt": "long " * 400, "completion": "too long"}),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Twelve rows, one with special tokens of the model; a record that cannot be read, and in `hard` two more that the
    model cannot be shown.
    """
    folder = scanned(tmp_path_factory.mktemp("place"))
    assert "<|user|>" in tiny_processor().tokenizer.get_vocab()
    first, *others = lines(folder / "data/rows.jsonl")
    shutil.copytree(folder / "data", folder / "worse")
    for data, run, unread in (("data", "soft", [BROKEN]), ("worse", "hard", [BROKEN, *UNFIT])):
        records = [first, *unread, json.dumps(SPECIAL), *others]
        (folder / data / "rows.jsonl").write_text("\n".join(records) + "\n")
        assert scan(folder, data, run, "--max-length", "300") == 0
        assert len(lines(folder / run / "rejects.jsonl")) == len(unread)
    return folder


def files_in(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("mode", ["drop", "mark"])
def test_the_same_is_written_as_by_the_processor(place, mode):
    options = [str(place / "soft"), "--mode", mode, "--out", str(place / f"quick-{mode}")]
    subprocess.run([sys.executable, "-c", QUIET, "rewrite", *options], check=True)
    tokens = place / "soft/environment.json"
    tokens.rename(place / "hidden.json")  # now the processor has to say what its special tokens are
    try:
        assert rewrite(place, "soft", f"slow-{mode}", mode) == 0
    finally:
        (place / "hidden.json").rename(tokens)
    assert files_in(place / f"quick-{mode}") == files_in(place / f"slow-{mode}")


def test_a_sheet_of_decisions_needs_no_model_either(place):
    sheet = place / "rows.csv"
    subprocess.run([sys.executable, "-c", QUIET, "review", str(place / "soft"), "--export", str(sheet)], check=True)
    assert len(lines(sheet)) > 1


def test_records_that_the_model_cannot_be_shown_are_left_out_by_its_processor(place, capsys):
    assert rewrite(place, "hard", "without", "drop") == 0
    assert capsys.readouterr().err.count(f"reading {place / 'worse'}\n") == 1  # the processor reads them once more
    left = (place / "without/data/rows.jsonl").read_text()
    assert not [record for record in (BROKEN, *UNFIT) if record in left]
    assert {reject["index"] for reject in map(json.loads, lines(place / "without/rejects.jsonl"))} == {1, 2, 3}


def test_a_record_that_came_after_the_scan_is_not_left_out_in_silence(place, capsys):
    path = place / "data/rows.jsonl"
    before = path.read_bytes()
    path.write_bytes(before + json.dumps({"prompt": "new?", "completion": "new"}).encode() + b"\n")
    try:
        assert rewrite(place, "soft", "grown", "drop") == 2
    finally:
        path.write_bytes(before)
    assert "the data set changed since it was written" in capsys.readouterr().err
    assert not (place / "grown/data").exists()


@pytest.mark.parametrize("repair", ["shortened", "image added", "made whole"])
def test_a_record_that_was_repaired_after_the_scan_is_not_left_out_for_its_old_reason(place, repair, capsys):
    path, image = place / "worse/rows.jsonl", place / "worse/images/none.png"
    before, listed = path.read_bytes(), (place / "hard/rejects.jsonl").read_text()
    repaired = {"shortened": ("long " * 400, "short"), "made whole": ("{broken", SOUND)}
    if repair == "image added":
        image.write_bytes((place / "worse" / first_image(place)).read_bytes())
    else:
        path.write_text(before.decode().replace(*repaired[repair]))
    try:
        assert rewrite(place, "hard", f"after {repair}", "drop") == 2
        assert main(["review", str(place / "hard"), "--export", str(place / f"after {repair}.csv")]) == 2
    finally:
        path.write_bytes(before)
        image.unlink(missing_ok=True)
    assert capsys.readouterr().err.count("the data set changed since it was written") == 2
    assert not (place / f"after {repair}/data").exists()
    assert (place / "hard/rejects.jsonl").read_text() == listed


def first_image(place):
    return next(image for line in lines(place / "worse/rows.jsonl")[4:] for image in json.loads(line).get("images", []))


def test_the_folder_of_a_training_remembers_the_special_tokens_too(place):
    options = ["--model", str(place / "model"), "--data", str(place / "data"), "--out", str(place / "trained")]
    step = ["--max-steps", "1", "--batch-size", "4", "--set", "max_response_tokens=3", "--max-length", "300"]
    assert main(["train", *options, *step, "--device", "cpu", "--rule", "paper", "--scan", "none"]) == 0
    assert main(["report", str(place / "trained")]) == 0
