"""What lies in the folders of `byorn verify`: answers are kept, and nobody's verdict stands where another's is due."""

import json

import pytest
import torch
from peft import get_peft_model
from verifying import answering, scanned, verify

from byorn.cli.main import main
from byorn.cli.verify import name_of
from byorn.models.lora import default_lora
from byorn.testing import tiny_model


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return scanned(tmp_path_factory.mktemp("place"))


@pytest.fixture
def answered(monkeypatch):
    return answering(monkeypatch)


@pytest.fixture(scope="module")
def other(place):
    """Another adapter."""
    model = tiny_model()
    adapter = get_peft_model(model, default_lora(model))
    with torch.no_grad():
        next(weight for name, weight in adapter.named_parameters() if "lora_B" in name).add_(1.0)
    adapter.save_pretrained(place / "other")
    return str(place / "other")


def killed(*given):
    raise KeyboardInterrupt


def test_two_adapters_share_a_folder_and_the_pretrained_answers(place, other, answered, tmp_path):
    calls = answered(lambda tuned, sees: tuned and sees)
    assert verify(place, tmp_path / "both") == 3
    calls.clear()
    assert verify(place, tmp_path / "both", "--adapter", other) == 3
    assert set(calls) == {True}
    assert len(list((tmp_path / "both/tuned").iterdir())) == 2
    assert json.loads((tmp_path / "both/verify.json").read_text())["adapter"]["folder"] == other


def test_no_verdict_stands_under_the_settings_of_another_adapter(place, other, answered, tmp_path, monkeypatch, capsys):
    """Nor is it taken for the one that is asked for: what answers must be there."""
    answered(lambda tuned, sees: tuned and sees)
    verdict = tmp_path / "both/verify.json"
    assert verify(place, tmp_path / "both") == 3
    capsys.readouterr()
    assert verify(place, tmp_path / "both", "--adapter", other, "--response-engine", "vllm") == 2
    said = capsys.readouterr().err
    assert f"verify.json is about another adapter, {place / 'adapter'}; it gives way to that of {other}" in said
    assert "error: response_engine: vllm" in said
    assert verdict.exists()  # as its settings still are

    monkeypatch.setattr("byorn.pipeline.verify.write_config", killed)
    assert verify(place, tmp_path / "both", "--adapter", other) == 130
    assert other not in (tmp_path / "both/config.yaml").read_text()
    assert not verdict.exists()


@pytest.mark.parametrize("more", [("--rows", "12"), ()], ids=["refused", "killed"])
def test_a_verdict_stands_until_another_one_takes_its_place(more, place, other, answered, tmp_path, monkeypatch):
    """It is evidence, and what was refused or killed has none to put there."""
    answered(lambda tuned, sees: tuned and sees)
    names = ("verify.json", "verify.jsonl", "grafted.jsonl", "config.yaml")
    assert verify(place, tmp_path / "both") == 3
    before = {name: (tmp_path / "both" / name).read_bytes() for name in names}
    if not more:
        monkeypatch.setattr("byorn.pipeline.verify.load_spec", killed)
    assert verify(place, tmp_path / "both", "--adapter", other, *more) == (2 if more else 130)
    assert {name: (tmp_path / "both" / name).read_bytes() for name in names} == before


def test_another_choice_of_rows_is_not_called_another_data_set(place, answered, tmp_path, capsys):
    answered(lambda tuned, sees: tuned and sees)
    assert verify(place, tmp_path / "chosen") == 3
    capsys.readouterr()
    assert verify(place, tmp_path / "chosen", "--rows", "12") == 2
    assert (
        "predictions.jsonl: the choice of rows (--rows, --seed, decisions about them) changed"
        in capsys.readouterr().err
    )


def test_answers_lie_under_the_name_of_the_adapter():
    assert name_of("runs/safe/adapter") == "safe"
    assert name_of("adapters/v2") == "v2"
    assert name_of(None) == "own"
    assert name_of("/adapter") == "adapter"  # as a container mounts it


def test_answers_are_kept_and_those_of_another_model_are_refused(place, answered, tmp_path, capsys):
    calls = answered(lambda tuned, sees: tuned and sees)
    options = [tmp_path / "again", "--batch-size", "4"]
    assert verify(place, *options) == 3
    (path,) = (tmp_path / "again/tuned").glob("*/predictions.jsonl")
    path.unlink()
    calls.clear()
    assert verify(place, *options) == 3
    assert set(calls) == {True}  # the pretrained model was not asked again
    path.write_text(path.read_text().replace("red", "blue", 1))
    capsys.readouterr()
    assert verify(place, *options) == 2
    assert "predictions.jsonl" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["verify", "evaluate"])
def test_the_settings_of_a_scan_are_not_written_over(command, place, no_model, capsys):
    """Without them, and its special tokens, nothing could go on from the scan."""
    scan = place / "scan"
    before = {name: (scan / name).read_bytes() for name in ("config.yaml", "environment.json")}
    given = [str(scan)] if command == "verify" else ["--model", str(place / "model"), "--data", str(place / "data")]
    assert main([command, *given, "--adapter", str(place / "adapter"), "--out", str(scan), "--device", "cpu"]) == 2
    assert "byorn scan has its settings there" in capsys.readouterr().err
    assert {name: (scan / name).read_bytes() for name in before} == before
