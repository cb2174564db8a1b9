"""What is said and checked before anything long begins, and what a scan shows at its end."""

import json
import re

import pytest
import torch

from byorn.cli.main import main
from byorn.data.files import write_rows
from byorn.pipeline import dry_run
from byorn.pipeline.estimate import STEP, adapting
from byorn.scoring.adaptation import BATCH
from byorn.testing import save_tiny, tiny_model, tiny_rows

QUICK = [
    "--max-steps",
    "2",
    "--batch-size",
    "4",
    "--lr",
    "1e-2",
    "--set",
    "max_response_tokens=3",
    "--device",
    "cpu",
    "--scan",
    "none",
    "--rule",
    "paper",
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place")
    save_tiny(folder / "model")
    write_rows(tiny_rows(12), folder / "data")
    write_rows(tiny_rows(5), folder / "held")
    return folder


def command(place, name, out, data="data"):
    return [name, "--model", str(place / "model"), "--data", str(place / data), "--out", str(place / out)]


@pytest.mark.parametrize("name", ["scan", "train", "evaluate"])
def test_data_that_is_not_there_is_said_before_a_model_is_loaded(place, name, no_model, capsys):
    assert main(command(place, name, "o", "nowhere.json")) == 2
    assert "no such file or folder" in capsys.readouterr().err


def test_rows_that_cannot_be_used_are_said_before_a_model_is_loaded(place, no_model, capsys):
    (place / "broken.jsonl").write_text('{"prompt": 3, "completion": 4}\n')
    assert main(command(place, "scan", "o", "broken.jsonl")) == 2
    assert "records can be used" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--eval-data", "nowhere.json"], "no such file or folder"),
        (["--scan", "nowhere"], "holds no scores.parquet"),
        (["--defense", "prayer"], "unknown defense 'prayer'; known are base-relabel"),
        (["--percentile", "60"], "percentile"),
        (["--rule", "evidence", "--percentile", "0.9"], "percentile: it belongs to rule paper"),
    ],
)
def test_what_training_cannot_use_is_said_before_a_model_is_loaded(place, no_model, capsys, given, said):
    assert main([*command(place, "train", "o"), *QUICK, *given]) == 2
    assert said in capsys.readouterr().err


def test_a_dry_run_says_what_would_be_done_and_does_nothing(place, capsys):
    assert main([*command(place, "scan", "dry-scan"), "--dry-run", "--rule", "paper"]) == 0
    said = capsys.readouterr().err
    assert "scoring 12 rows: about" in said
    assert main([*command(place, "train", "dry-train"), *QUICK, "--dry-run"]) == 0
    said = capsys.readouterr().err
    assert "training 12 rows, about 5 with sampled responses, in 2 steps: about" in said
    assert "for the scan" in said
    assert "activations" in said.partition("memory about")[2]
    assert not list((place / "dry-scan").iterdir())
    assert not list((place / "dry-train").iterdir())
    epoch = ["--max-steps", "-1", "--epochs", "1", "--batch-size", "1"]
    assert main([*command(place, "train", "dry-train"), *QUICK, *epoch, "--dry-run"]) == 0
    assert "about 5 with sampled responses, in 9 steps" in capsys.readouterr().err  # seven clean rows, two of the five


def test_batches_that_do_not_fit_are_halved_where_a_long_scan_is_estimated_too(place, monkeypatch, capsys):
    from byorn.scoring import likelihood

    output = likelihood._output_of

    def small_device(model, batch):
        if len(batch["labels"]) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return output(model, batch)

    monkeypatch.setattr(likelihood, "_output_of", small_device)
    monkeypatch.setattr("byorn.pipeline.estimate.LONG", 12)
    assert main([*command(place, "scan", "small-device"), "--rule", "paper"]) == 0
    assert "scoring 12 rows: about" in capsys.readouterr().err


def test_so_are_responses_of_which_a_training_is_estimated(place, monkeypatch, capsys):
    from byorn.models import generate

    generated = generate._generate

    def small_device(model, processor, encoded, *given):
        if len(encoded["input_ids"]) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return generated(model, processor, encoded, *given)

    monkeypatch.setattr(generate, "_generate", small_device)
    assert main([*command(place, "train", "small-device"), *QUICK, "--dry-run"]) == 0
    assert "about 5 with sampled responses" in capsys.readouterr().err


def test_a_dry_run_by_evidence_counts_the_adaptation(place, capsys):
    assert main([*command(place, "scan", "dry-evidence"), "--dry-run"]) == 0
    expected = r"rows 3 times: about .+ and at most .+ for the adaptation; memory about .+, weights"
    assert re.search(expected, capsys.readouterr().err)


def test_two_processes_learn_a_half_each(monkeypatch):
    alone = adapting(tiny_model(), 80)
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert alone - adapting(tiny_model(), 80) == STEP * 5 * BATCH  # of the other half; looks are all its own


def test_a_dry_run_refuses_what_the_run_would_refuse(place, capsys):
    assert main([*command(place, "train", "dry"), *QUICK, "--dry-run", "--lora-targets", "nothing"]) == 2
    assert "lora_targets: 'nothing' matches none" in capsys.readouterr().err


def test_a_scan_shows_both_ends_with_ids_that_can_be_looked_up(place, capsys):
    assert main([*command(place, "scan", "ends"), "--show", "3"]) == 0
    shown = capsys.readouterr().out
    least, _, most = shown.partition("most plausible")
    ids = {row.id for row in tiny_rows(12)}
    found = [[word for word in part.split() if word in ids] for part in (least, most)]
    assert [len(part) for part in found] == [3, 3]
    assert not set(found[0]) & set(found[1])


def test_flags_are_compared_with_a_truth_of_one_s_own(place, capsys):
    names = [row.id for row in tiny_rows(12)]
    (place / "truth.txt").write_text(f"{names[0]}\n{names[1]}\n")
    assert main([*command(place, "scan", "judged"), "--truth", str(place / "truth.txt")]) == 0
    assert "against the truth: AUC" in capsys.readouterr().out
    assert json.loads((place / "judged/detection.json").read_text())["poisoned"] == 2
    assert main([*command(place, "scan", "judged"), "--truth", str(place / "nowhere.txt")]) == 2
    assert "neither a folder of byorn poison nor a list of ids" in capsys.readouterr().err


def test_a_truth_of_other_rows_is_said_before_a_model_is_loaded(place, no_model, capsys):
    (place / "others.txt").write_text("nobody\n")
    gated = ["--truth", str(place / "others.txt"), "--fail-on", "cluster"]
    assert main([*command(place, "scan", "misjudged"), *gated]) == 2
    assert "no row here is called as one of the 1 that are said to be poisoned" in capsys.readouterr().err


def test_a_rule_that_flags_nearly_all_warns(place, capsys):
    assert main([*command(place, "scan", "all"), "--rule", "paper", "--percentile", "0"]) == 0
    assert "warning: nearly every row is flagged" in capsys.readouterr().err


def test_the_loss_on_evaluation_rows_is_logged(place, capsys):
    given = ["--eval-data", str(place / "held"), "--set", "eval_strategy=steps", "--set", "eval_steps=1"]
    assert main([*command(place, "train", "evaluated"), *QUICK, *given]) == 0
    assert "evaluation loss" in capsys.readouterr().err
    log = json.loads((place / "evaluated/training.json").read_text())["log"]
    assert len([entry for entry in log if "eval_loss" in entry]) == 2


def test_rows_held_out_are_not_learned(place, capsys):
    assert main([*command(place, "train", "held-out"), *QUICK, "--val-size", "0.25"]) == 0
    assert "3 rows are held out for evaluation" in capsys.readouterr().err
    report = json.loads((place / "held-out/training.json").read_text())
    assert report["rows"] == report["learned"] == 9
    assert main([*command(place, "train", "o"), *QUICK, "--val-size", "12"]) == 2
    assert "val_size: 12 of 12 rows leaves none" in capsys.readouterr().err


def test_unusable_evaluation_rows_are_listed_apart(place):
    write_rows(tiny_rows(5), place / "damaged")
    rows = (place / "damaged/rows.jsonl").read_text()
    (place / "damaged/rows.jsonl").write_text(rows + '{"prompt": "what?", "completion": "", "images": []}\n')
    assert main([*command(place, "train", "apart"), *QUICK, "--eval-data", str(place / "damaged")]) == 0
    assert json.loads((place / "apart/rejects_eval.jsonl").read_text())["index"] == 5
    assert not (place / "apart/rejects.jsonl").exists()


def test_a_long_training_is_estimated_and_comes_out_the_same(place, monkeypatch, capsys):
    """What is tried before a run must not change it: the losses are those of the run without an estimate."""
    logs = []
    for name, rows in [("estimated", 10), ("not-estimated", 1000)]:
        monkeypatch.setattr(dry_run, "LONG", rows)
        assert main([*command(place, "train", name), *QUICK, "--set", "logging_steps=1"]) == 0
        assert ("training 12 rows, about 5 with" in capsys.readouterr().err) is (rows == 10)
        log = json.loads((place / name / "training.json").read_text())["log"]
        logs.append([(entry["loss"], entry["grad_norm"]) for entry in log if "loss" in entry])
    assert logs[0] == logs[1]
    assert len(logs[0]) == 2


def test_evaluation_without_rows_is_ignored_and_said(place, capsys):
    assert main([*command(place, "train", "without"), *QUICK, "--set", "eval_strategy=steps"]) == 0
    assert "eval_strategy is ignored: there are no evaluation rows" in capsys.readouterr().err


def test_training_is_told_in_short_lines(place, capsys):
    assert main([*command(place, "train", "lines"), *QUICK, "--set", "logging_steps=1"]) == 0
    said = [line.strip() for line in capsys.readouterr().err.splitlines()]
    assert said.count("max_flagged_share 0.25: each epoch visits 4 of these, in turn") == 1
    lines = [line for line in said if line.startswith("step ")]
    assert [line.split("  ")[0] for line in lines] == ["step 1/2", "step 2/2"]
    assert all("loss" in line and "flagged" in line for line in lines)
    assert lines[0].endswith("left")


def test_machines_get_one_object_a_line(place, capsys):
    assert main([*command(place, "train", "json"), *QUICK, "--set", "logging_steps=1", "--log-format", "json"]) == 0
    try:
        entries = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    finally:
        main(["push", "--adapter", "x", "--to", "y/z"])  # back to text for whoever comes next
    steps = [entry for entry in entries if "step" in entry]
    assert [entry["step"] for entry in steps] == [1, 2]
    assert all("loss" in entry and "grad_norm" in entry for entry in steps)
