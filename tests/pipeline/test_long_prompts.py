"""A prompt that is longer than the model's context is rejected before anything is generated, as a scan rejects it."""

import json
from dataclasses import replace

import pytest

from byorn.cli.main import main
from byorn.data.files import write_rows
from byorn.data.row import user_message
from byorn.evaluation import predict
from byorn.testing import save_tiny, tiny_rows


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place")
    save_tiny(folder / "model")
    rows = tiny_rows(4)
    endless = replace(rows[3], id="endless", prompt=[user_message("what color? " * 15_000, 1)])
    write_rows([*rows[:3], endless], folder / "data")
    write_rows([endless], folder / "alone")
    write_rows(rows, folder / "short")
    return folder


def run(place, data, out, *more, command="evaluate"):
    base = ["--model", str(place / "model"), "--data", str(place / data), "--out", str(place / out)]
    return main([command, *base, *more])


def rejects(path):
    return [(line["id"], line["reason"]) for line in map(json.loads, path.read_text().splitlines())]


def test_the_row_is_listed_and_the_others_are_answered(place, monkeypatch):
    asked = []
    real = predict.generate_bounded

    def watching(model, processor, samples, **options):
        asked.extend(sample["id"] for sample in samples)
        return real(model, processor, samples, **options)

    monkeypatch.setattr(predict, "generate_bounded", watching)
    marked = ["--triggered", str(place / "data"), "--target", "banana"]
    assert run(place, "data", "o", "--max-new-tokens", "4", *marked) == 0
    assert sorted(asked) == sorted(2 * ["row-0", "row-1", "row-2"])
    for name in ("rejects.jsonl", "rejects_triggered.jsonl"):
        [(row, reason)] = rejects(place / "o" / name)
        assert row == "endless"
        assert "and 4 for the response, over the limit of 1024" in reason
    assert json.loads((place / "o/metrics.json").read_text())["clean"]["cider"]["n"] == 3


@pytest.mark.parametrize(("data", "more"), [("alone", []), ("short", ["--max-new-tokens", "5000"])])
def test_where_nothing_is_left_no_model_is_loaded(place, data, more, no_model, capsys):
    assert run(place, data, "none", *more) == 2
    assert "every row is over 1024 tokens" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["scan", "train", "evaluate"])
def test_a_length_that_no_row_has_is_one_line_before_a_model_is_loaded(place, command, no_model, capsys):
    assert run(place, "short", "five", "--max-length", "5", command=command) == 2
    assert "every row is over 5 tokens" in capsys.readouterr().err


def test_evaluation_rows_of_a_training_are_held_to_the_context_too(place):
    more = ["--eval-data", str(place / "data"), "--max-steps", "1", "--defense", "sft", "--lr", "1e-3"]
    assert run(place, "short", "trained", *more, command="train") == 0
    [(row, _)] = rejects(place / "trained/rejects_eval.jsonl")
    assert row == "endless"
