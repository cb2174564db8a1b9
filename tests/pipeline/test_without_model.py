"""What a scan wrote down is enough to go on from it: leaving flagged rows out asks no model, and loads no torch."""

import json
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
SPECIAL = {"id": "said", "prompt": "say <|user|> please", "completion": "well <|user|>"}
UNREAD = [
    "{broken",
    json.dumps({"prompt": "an image?", "completion": "none", "images": ["images/none.png"]}),
    json.dumps({"prompt": "long " * 400, "completion": "too long"}),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Twelve rows, one with special tokens of the model, and three records that cannot be used, each for a reason."""
    folder = scanned(tmp_path_factory.mktemp("place"))
    assert "<|user|>" in tiny_processor().tokenizer.get_vocab()
    path = folder / "data/rows.jsonl"
    first, *others = lines(path)
    path.write_text("\n".join([first, *UNREAD, json.dumps(SPECIAL), *others]) + "\n")
    assert scan(folder, "data", "hard", "--max-length", "300") == 0
    assert len(lines(folder / "hard/rejects.jsonl")) == 3
    return folder


def files_in(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("mode", ["drop", "mark"])
def test_the_same_is_written_as_by_the_processor(place, mode):
    options = [str(place / "hard"), "--mode", mode, "--out", str(place / f"quick-{mode}")]
    subprocess.run([sys.executable, "-c", QUIET, "rewrite", *options], check=True)
    tokens = place / "hard/environment.json"
    tokens.rename(place / "hidden.json")  # now the processor has to say what its special tokens are
    try:
        assert rewrite(place, "hard", f"slow-{mode}", mode) == 0
    finally:
        (place / "hidden.json").rename(tokens)
    assert files_in(place / f"quick-{mode}") == files_in(place / f"slow-{mode}")


def test_a_sheet_of_decisions_needs_no_model_either(place):
    sheet = place / "rows.csv"
    subprocess.run([sys.executable, "-c", QUIET, "review", str(place / "hard"), "--export", str(sheet)], check=True)
    assert len(lines(sheet)) > 1


def test_a_record_that_came_after_the_scan_is_not_left_out_in_silence(place, capsys):
    path = place / "data/rows.jsonl"
    before = path.read_bytes()
    path.write_bytes(before + json.dumps({"prompt": "new?", "completion": "new"}).encode() + b"\n")
    try:
        assert rewrite(place, "hard", "grown", "drop") == 2
    finally:
        path.write_bytes(before)
    assert "the data set changed since it was written" in capsys.readouterr().err
    assert not (place / "grown/data").exists()


def test_the_folder_of_a_training_remembers_the_special_tokens_too(place):
    options = ["--model", str(place / "model"), "--data", str(place / "data"), "--out", str(place / "trained")]
    step = ["--max-steps", "1", "--batch-size", "4", "--set", "max_response_tokens=3", "--max-length", "300"]
    assert main(["train", *options, *step, "--device", "cpu", "--rule", "paper", "--scan", "none"]) == 0
    assert main(["report", str(place / "trained")]) == 0
