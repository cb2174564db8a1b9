"""`byorn rewrite --mode replace --response-engine vllm`, with a stand-in that runs the tiny model."""

import json
import shutil

import pytest
from fake_vllm import asked, killed_when_asked_again

from byorn.cli.main import main
from byorn.data.files import write_rows
from byorn.data.load import load_rows
from byorn.flagging.table import read_flags
from byorn.testing import tiny_rows


@pytest.fixture(scope="module")
def place(sharp_model, tmp_path_factory):
    """A folder with twelve rows and a scan that flags five of them."""
    folder = tmp_path_factory.mktemp("place")
    write_rows(tiny_rows(12), folder / "data")
    scan = ["--model", str(sharp_model), "--device", "cpu", "--show", "0", "--rule", "paper", "--no-report"]
    assert main(["scan", "--data", str(folder / "data"), "--out", str(folder / "scan"), *scan]) == 0
    return folder


def rewrite(place, out, *more, engine="vllm", mode="replace"):
    command = ["rewrite", str(place / "scan"), "--out", str(place / out), "--mode", mode, "--response-engine", engine]
    return main([*command, "--max-response-tokens", "6", *more])


def responses(place, out):
    return {row.id: row.response for row in load_rows(place / out / "data").rows}


def named(place, out):
    """The engine in the provenance."""
    return json.loads((place / out / "rewrite.json").read_text())["response_engine"]


def test_flagged_rows_get_what_vllm_samples_of_the_pretrained_model(engine, place, capsys):
    assert rewrite(place, "whole") == 0
    assert "at most 0.00" in capsys.readouterr().err
    (made,) = engine.made
    assert "enable_lora" not in made.options
    assert made.requests == []
    assert made.options["limit_mm_per_prompt"]["image"] == 1
    flags = read_flags(place / "scan/flags.parquet")
    flagged = {name for name, flag in zip(flags.ids, flags.flagged, strict=True) if flag}
    before, after = {row.id: row.response for row in tiny_rows(12)}, responses(place, "whole")
    assert asked(engine)[0] == len(flagged) == 5
    assert {name for name in before if after[name] != before[name]} == flagged
    said = {made.processor.tokenizer.decode(ids, skip_special_tokens=True) for ids in made.sampled}
    assert {after[name] for name in flagged} <= said


def test_a_killed_sampling_goes_on_and_another_share_of_memory_is_no_other_run(engine, place):
    assert rewrite(place, "straight", "--response-batch-size", "2") == 0
    assert asked(engine) == [2, 2, 1]
    with killed_when_asked_again(engine):
        assert rewrite(place, "killed", "--response-batch-size", "2") == 130
    assert not (place / "killed/data").exists()
    assert rewrite(place, "killed", "--response-batch-size", "2", "--response-engine-memory", "0.5") == 0
    assert asked(engine) == [2, 2, 1, 2, 2, 1]
    assert engine.made[-1].options["gpu_memory_utilization"] == 0.5
    assert responses(place, "killed") == responses(place, "straight")
    assert named(place, "killed") == "vllm"
    assert rewrite(place, "killed", "--response-batch-size", "2", "--response-engine-memory", "0.4") == 0
    assert asked(engine) == [2, 2, 1, 2, 2, 1]  # finished before
    assert rewrite(place, "killed", "--response-batch-size", "2", engine="transformers") == 2


def test_an_adapter_answers_and_one_that_gets_lost_is_noticed(engine, place, adapters, capsys):
    given = ["--adapter", str(adapters / "plain")]
    assert rewrite(place, "adapted", *given) == 0
    assert engine.made[0].options["enable_lora"]
    assert len(engine.made[0].loaded[0]) > 0
    assert rewrite(place, "pretrained") == 0
    assert responses(place, "adapted") != responses(place, "pretrained")
    engine.ignores_adapters = True
    capsys.readouterr()
    assert rewrite(place, "lost", *given) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "error: vLLM does not sample the model that it should: " in said
    assert "by 0.00 from those of the base model" in said
    assert not (place / "lost/data").exists()


def test_adapters_that_vllm_does_not_load(engine, place, adapters, capsys):
    assert rewrite(place, "vision", "--adapter", str(adapters / "vision")) == 2
    assert "vllm has LoRA on the language model alone" in capsys.readouterr().err
    assert engine.made == []


def test_what_vllm_does_not_take_is_refused_before_a_model_is_loaded(engine, place, no_model, monkeypatch, capsys):
    assert rewrite(place, "hot", "--response-temperature", "2.5") == 2
    assert "vllm takes temperatures up to 2" in capsys.readouterr().err
    monkeypatch.setattr("byorn.training.engine.checks.has_gpu", lambda on_cpu: not on_cpu)
    assert rewrite(place, "cpu") == 2  # the device of the scan
    assert "vllm wants a CUDA device" in capsys.readouterr().err
    monkeypatch.setattr("byorn.training.engine.checks.find_spec", lambda name: None)
    assert rewrite(place, "missing") == 2
    assert "vllm is not installed: pip install 'byorn[vllm]'" in capsys.readouterr().err
    assert rewrite(place, "dropped", mode="drop") == 2
    assert "response_engine: mode drop samples nothing" in capsys.readouterr().err
    assert not any((place / name).exists() for name in ("hot", "cpu", "missing", "dropped"))


def test_what_was_sampled_before_wants_no_engine(engine, place, monkeypatch, capsys):
    """It may have been sampled on another machine, and be written here."""
    assert rewrite(place, "done") == 0
    monkeypatch.setattr("byorn.training.engine.checks.find_spec", lambda name: None)
    assert rewrite(place, "done") == 0
    assert "finished before" in capsys.readouterr().err
    before = responses(place, "done")
    (place / "done/rewrite.json").unlink()
    shutil.rmtree(place / "done/data")
    assert rewrite(place, "done") == 0
    assert responses(place, "done") == before
    assert len(engine.made) == 1
    assert rewrite(place, "other") == 2


def test_an_adapter_that_nothing_would_be_sampled_by_is_refused(place, adapters, capsys):
    assert rewrite(place, "ignored", "--adapter", str(adapters / "plain"), mode="drop") == 2
    assert "adapter: mode drop samples nothing" in capsys.readouterr().err


def test_the_provenance_names_what_sampled(place):
    assert rewrite(place, "plain", engine="transformers") == 0
    assert named(place, "plain") == "transformers"
