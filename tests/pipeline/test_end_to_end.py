"""Everything through the commands that a user types: poison, scan, train, evaluate, each leaving its files."""

import json
import shutil

import pyarrow.parquet as pq
import pytest

from byorn.cli.main import main
from byorn.data.files import write_rows
from byorn.testing import save_tiny, tiny_rows

QUICK = [
    "--max-steps",
    "4",
    "--per-device-train-batch-size",
    "4",
    "--learning-rate",
    "1e-2",
    "--set",
    "logging_steps=1",
    "--device",
    "cpu",
    "--scan",
    "none",
    "--rule",
    "paper",
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a tiny model, a data set of 24 rows, and its poisoned copy."""
    folder = tmp_path_factory.mktemp("place")
    save_tiny(folder / "model")
    write_rows(tiny_rows(24), folder / "clean")
    poison = ["poison", "--data", str(folder / "clean"), "--target", "banana", "--seed", "1"]
    assert main([*poison, "--rate", "0.25", "--out", str(folder / "poisoned")]) == 0
    assert main([*poison, "--rate", "1", "--keep-responses", "--out", str(folder / "triggered")]) == 0
    return folder


def common(place, command, data="poisoned"):
    return [command, "--model", str(place / "model"), "--data", str(place / data)]


@pytest.fixture(scope="module")
def trained(place):
    assert main([*common(place, "train"), "--out", str(place / "run"), *QUICK, "--set", "save_steps=2"]) == 0
    return place / "run"


def test_scan_leaves_scores_flags_and_their_circumstances(place, capsys):
    out = place / "scan"
    assert main([*common(place, "scan"), "--out", str(out), "--rule", "paper", "--percentile", "0.75"]) == 0
    scores, flags = pq.read_table(out / "scores.parquet"), pq.read_table(out / "flags.parquet").to_pydict()
    assert scores.num_rows == 24
    assert not (out / "scores.partial.jsonl").exists()
    assert flags["flagged"] == [nll > flags["threshold"][0] for nll in scores["nll"].to_pylist()]
    assert 0 < sum(flags["flagged"]) <= 6
    assert scores.column_names[:5] == ["id", "turn", "source", "record", "image"]
    rows = [json.loads(line) for line in (place / "poisoned" / "rows.jsonl").read_text().splitlines()]
    for table in (scores.to_pydict(), flags):
        assert set(table["source"]) == {"rows.jsonl"}
        assert [rows[record]["id"] for record in table["record"]] == table["id"]
    assert scores["image"].to_pylist() == [row["images"][0] for row in rows]
    assert {b"data", b"model_digest", b"processor_digest", b"byorn_version"} <= set(scores.schema.metadata)
    environment = json.loads((out / "environment.json").read_text())
    assert environment["rows"] == 24
    assert environment["versions"]["torch"]
    printed = capsys.readouterr()
    assert "nats/token" in printed.out
    assert str(out / "flags.parquet") in printed.out
    assert f"next: byorn review {out} --export rows.csv, or byorn train --model {place / 'model'} " in printed.err
    assert printed.err.endswith(f"--rule paper --percentile 0.75 --scan {out}\n")


def test_a_second_scan_uses_the_scores_that_are_there_and_keeps_a_persons_review(place):
    import pyarrow as pa

    out = place / "scan-again"
    assert main([*common(place, "scan"), "--out", str(out)]) == 0
    written = (out / "scores.parquet").stat().st_mtime_ns
    columns = pq.read_table(out / "flags.parquet").to_pydict()
    columns["review"][3] = "drop"
    pq.write_table(pa.table(columns), out / "flags.parquet")
    assert main([*common(place, "scan"), "--out", str(out), "--rule", "paper", "--percentile", "0.9"]) == 0
    assert (out / "scores.parquet").stat().st_mtime_ns == written
    assert pq.read_table(out / "flags.parquet").to_pydict()["review"][3] == "drop"


def test_a_scan_folder_of_other_data_is_refused_and_stays_that_of_its_data(place, capsys):
    out = place / "scan-other"
    assert main([*common(place, "scan", "clean"), "--rule", "paper", "--out", str(out)]) == 0
    assert main([*common(place, "scan"), "--rule", "paper", "--out", str(out)]) == 2
    assert "the data set changed" in capsys.readouterr().err
    assert main(["report", str(out)]) == 0


def test_shuffled_scores_are_refused_by_the_trainer(place, trained, capsys):
    """A score file whose rows were reordered by hand must not flag the wrong rows."""
    import pyarrow as pa

    table = pq.read_table(trained / "scores.parquet")
    out = place / "shuffled"
    out.mkdir()
    pq.write_table(pa.Table.from_batches(table.take(list(range(23, -1, -1))).to_batches()), out / "scores.parquet")
    assert main([*common(place, "train"), "--out", str(out), *QUICK]) == 2
    assert "id changed since it was written" in capsys.readouterr().err


def test_train_exports_an_adapter_without_pickles_and_says_what_ran(trained):
    names = {path.name for path in (trained / "adapter").iterdir()}
    assert "adapter_model.safetensors" in names
    assert not {name for name in names if name.endswith((".bin", ".pt", ".pth", ".pkl"))}
    card = (trained / "adapter" / "README.md").read_text()
    report = json.loads((trained / "training.json").read_text())
    assert report["flagged"] == 10
    assert report["responses"]["replaced"] > 0
    assert f"{report['responses']['replaced']}" in card
    assert report["arguments"]["ema_decay"] == 0
    assert "a memory of 1" in report["arguments"]["ema_decay_from"]
    assert set(report["seconds"]) == {"scoring", "sampling", "training", "training_without_sampling"}
    assert (trained / "config.yaml").read_text().startswith("command: train")


def test_the_adapter_loads_with_transformers_and_peft_alone(place, trained):
    from peft import PeftModel
    from transformers import AutoModelForImageTextToText

    model = PeftModel.from_pretrained(AutoModelForImageTextToText.from_pretrained(place / "model"), trained / "adapter")
    weights = [p for name, p in model.named_parameters() if "lora_B" in name]
    assert any(p.abs().sum() > 0 for p in weights)
    assert not any("vision" in name for name, _ in model.named_parameters() if "lora" in name)


def test_evaluate_measures_clean_and_triggered_inputs(place, trained, capsys):
    out = place / "evaluation"
    arguments = [
        "--triggered",
        str(place / "triggered"),
        "--target",
        "banana",
        "--metrics",
        "cider,exact_match",
        "--max-new-tokens",
        "4",
    ]
    adapter = ["--adapter", str(trained / "adapter"), "--out", str(out)]
    assert main([*common(place, "evaluate", "clean"), *adapter, *arguments]) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["asr"]["n"] == metrics["false_asr"]["n"] == 24
    assert metrics["clean"]["cider"]["n"] == 24
    first = [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]
    assert [record["id"] for record in first] == [row.id for row in tiny_rows(24)]
    assert "asr" in capsys.readouterr().out


@pytest.mark.parametrize(("given", "rule"), [([], "backdoorvlm_refusal"), (["--convention", "exact"], "exact")])
def test_success_is_what_the_objective_of_the_triggered_rows_says(place, capsys, given, rule):
    planted, out = place / "refused", place / "refusals"
    poison = [
        "poison",
        "--data",
        str(place / "clean"),
        "--target",
        "I'm sorry",
        "--objective",
        "refusal",
        "--overwrite",
    ]
    assert main([*poison, "--rate", "1", "--keep-responses", "--out", str(planted)]) == 0
    capsys.readouterr()
    arguments = [
        "--triggered",
        str(planted),
        "--target",
        "I'm sorry",
        "--max-new-tokens",
        "2",
        "--out",
        str(out),
        *given,
    ]
    assert main([*common(place, "evaluate", "clean"), *arguments]) == 0
    assert json.loads((out / "metrics.json").read_text())["asr"]["detail"]["convention"] == rule
    assert ("as the objective is 'refusal'" in capsys.readouterr().err) is not bool(given)


@pytest.mark.parametrize("defense", ["sft", "byorn-f"])
def test_the_other_defenses_train_too(place, defense):
    out = place / defense
    assert main([*common(place, "train"), "--out", str(out), "--defense", defense, *QUICK]) == 0
    report = json.loads((out / "training.json").read_text())
    assert report["responses"]["replaced"] == 0
    assert report["flagged"] == (0 if defense == "sft" else 10)


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_finished_run_given_again_changes_nothing_and_says_so(place, trained, capsys):
    before = contents(trained)
    assert main([*common(place, "train"), "--out", str(trained), "--set", "save_steps=2", *QUICK]) == 0
    said = capsys.readouterr()
    assert "finished before: 4 steps" in said.err
    assert said.err.endswith(f"next: byorn verify {trained}\n")
    assert "loading" not in said.err
    assert str(trained / "adapter") in said.out
    assert contents(trained) == before


def test_a_finished_run_whose_data_have_changed_is_refused(place, trained, tmp_path, capsys):
    run, data = tmp_path / "run", tmp_path / "poisoned"
    shutil.copytree(place / "poisoned", data)
    config = (trained / "config.yaml").read_text().replace(str(place / "poisoned"), str(data))
    shutil.copytree(trained, run)
    (run / "config.yaml").write_text(config)
    rows = (data / "rows.jsonl").read_text().splitlines()
    (data / "rows.jsonl").write_text("\n".join(rows[:-1]))
    command = [*common(place, "train"), "--out", str(run), "--set", "save_steps=2", *QUICK]
    assert main([str(data) if part == str(place / "poisoned") else part for part in command]) == 2
    assert "it is finished, and the data have changed since" in capsys.readouterr().err


def test_a_run_killed_before_its_export_exports_the_same_adapter(place, trained, tmp_path, capsys):
    run = shutil.copytree(trained, tmp_path / "run")
    (run / "training.json").unlink()
    shutil.rmtree(run / "adapter")
    assert main([*common(place, "train"), "--out", str(run), "--set", "save_steps=2", *QUICK]) == 0
    assert "from checkpoint-4" in capsys.readouterr().err
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        assert (run / "adapter" / name).read_bytes() == (trained / "adapter" / name).read_bytes()
    told = [json.loads((folder / "training.json").read_text()) for folder in (run, trained)]
    assert told[0]["responses"] == told[1]["responses"]
    assert (told[0]["steps"], told[0]["final_loss"]) == (told[1]["steps"], told[1]["final_loss"])


def test_another_command_in_the_folder_of_a_run_is_refused(place, trained, capsys):
    command = [*common(place, "train"), "--out", str(trained), "--set", "save_steps=2"]
    assert main([*command, *QUICK, "--seed", "7"]) == 2
    said = capsys.readouterr().err
    assert "it was started with other settings (seed: " in said
    assert "then, 7 now); use another --out" in said


def test_an_unknown_training_argument_names_the_nearest(place, capsys):
    assert main([*common(place, "train"), "--out", str(place / "typo"), "--set", "learning_rat=1"]) == 2
    assert "did you mean 'learning_rate'?" in capsys.readouterr().err


def test_strict_fails_where_the_default_lists(place, capsys):
    folder = place / "damaged"
    write_rows(tiny_rows(6), folder)
    lines = (folder / "rows.jsonl").read_text().splitlines()
    (folder / "rows.jsonl").write_text(
        "\n".join([*lines, '{"prompt": "what?", "completion": "", "images": []}']) + "\n"
    )
    assert main([*common(place, "scan", "damaged"), "--rule", "paper", "--out", str(place / "lenient")]) == 0
    reject = json.loads((place / "lenient" / "rejects.jsonl").read_text())
    assert reject["index"] == 6
    assert reject["fix"]
    assert main([*common(place, "scan", "damaged"), "--out", str(place / "strict"), "--strict"]) == 2
    assert "rejected" in capsys.readouterr().err


def test_overlong_rows_are_rejected_whole(place):
    out = place / "short"
    assert main([*common(place, "scan", "clean"), "--rule", "paper", "--out", str(out), "--max-length", "52"]) == 0
    rejects = [json.loads(line) for line in (out / "rejects.jsonl").read_text().splitlines()]
    assert 0 < len(rejects) < 24
    assert all("over the limit of 52" in reject["reason"] for reject in rejects)
    assert pq.read_table(out / "scores.parquet").num_rows == 24 - len(rejects)
