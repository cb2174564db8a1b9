"""`byorn evaluate` and `byorn verify` with `--response-engine vllm`, with a stand-in that runs the tiny model."""

import json
import shutil
from dataclasses import replace

import pytest
from fake_vllm import asked, killed_when_asked_again
from safetensors.torch import load_file, save_file

from byorn.cli.main import main
from byorn.data.files import write_rows
from byorn.data.row import user_message
from byorn.testing import tiny_rows


@pytest.fixture(scope="module")
def place(sharp_model, tmp_path_factory):
    """A folder with clean and triggered rows, and a scan that flags enough of 40 to verify."""
    folder = tmp_path_factory.mktemp("place")
    write_rows(tiny_rows(40), folder / "rows")
    write_rows(tiny_rows(7), folder / "data")
    write_rows(tiny_rows(5), folder / "triggered")
    scan = ["--model", str(sharp_model), "--device", "cpu", "--show", "0", "--rule", "paper", "--no-report"]
    assert main(["scan", "--data", str(folder / "rows"), "--out", str(folder / "scan"), *scan]) == 0
    return folder


@pytest.fixture
def evaluate(place, sharp_model, adapters, tmp_path):
    """The command; its exit code."""

    def run(out, *more, engine="vllm", adapter="plain"):
        command = ["evaluate", "--model", str(sharp_model), "--adapter", str(adapters / adapter), "--device", "cpu"]
        given = ["--data", str(place / "data"), "--out", str(tmp_path / out), "--max-new-tokens", "6"]
        return main([*command, *given, "--metrics", "cider,exact_match", "--response-engine", engine, *more])

    return run


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def said(path):
    return [(line["id"], line["prediction"], line["tokens"], line["truncated"]) for line in lines(path)]


def test_the_same_model_gives_the_figures_of_transformers(engine, place, evaluate, tmp_path, capsys):
    attack = ["--triggered", str(place / "triggered"), "--target", "red"]
    assert evaluate("plain", *attack, engine="transformers") == 0
    assert engine.made == []
    capsys.readouterr()
    assert evaluate("vllm", *attack) == 0
    assert "vLLM is at most 0.00" in capsys.readouterr().err
    assert asked(engine) == [7, 5]  # one engine for both, each in one call
    assert {params.temperature for call in engine.made[0].calls for _, params in call} == {0.0}
    assert len(engine.made[0].loaded[0]) > 0
    for name in ("predictions.jsonl", "predictions_triggered.jsonl"):
        assert said(tmp_path / "vllm" / name) == said(tmp_path / "plain" / name)
    assert len({line[1] for line in said(tmp_path / "vllm/predictions.jsonl")}) > 1
    assert (tmp_path / "vllm/metrics.json").read_text() == (tmp_path / "plain/metrics.json").read_text()


def test_rows_of_several_images_are_asked_for_in_smaller_calls(engine, place, evaluate, tmp_path, monkeypatch):
    """vLLM holds what it is asked for, decoded."""
    monkeypatch.setattr("byorn.pipeline.engine.VLLM_IMAGES", 4)
    assert evaluate("one-each") == 0
    assert asked(engine) == [4, 3]
    rows = tiny_rows(5)
    pair = replace(rows[0], prompt=[user_message("are they alike?", 2)], images=rows[0].images + rows[1].images)
    write_rows([pair, *rows[1:]], tmp_path / "pair")
    assert evaluate("pair", "--data", str(tmp_path / "pair")) == 0
    assert asked(engine) == [4, 3, 2, 2, 1]
    assert evaluate("given", "--data", str(tmp_path / "pair"), "--batch-size", "5") == 0
    assert asked(engine)[5:] == [5]


def test_a_killed_evaluation_goes_on_and_asks_no_row_twice(engine, evaluate, tmp_path):
    assert evaluate("straight", "--batch-size", "3") == 0
    with killed_when_asked_again(engine):
        assert evaluate("killed", "--batch-size", "3") == 130
    assert not (tmp_path / "killed/predictions.jsonl").exists()
    assert evaluate("killed", "--batch-size", "3", "--response-engine-memory", "0.5") == 0
    assert asked(engine) == [3, 3, 1, 3, 3, 1]
    assert engine.made[-1].options["gpu_memory_utilization"] == 0.5
    texts = [(tmp_path / name / "predictions.jsonl").read_text() for name in ("straight", "killed")]
    assert texts[0] == texts[1]
    assert evaluate("killed") == 0
    assert asked(engine) == [3, 3, 1, 3, 3, 1]  # finished before


@pytest.mark.parametrize(("first", "second"), [("vllm", "transformers"), ("transformers", "vllm")])
def test_no_engine_goes_on_with_the_answers_of_another(first, second, engine, evaluate, tmp_path, monkeypatch, capsys):
    assert evaluate("whole", engine=first) == 0
    capsys.readouterr()
    assert evaluate("whole", engine=second) == 2
    assert "predictions.jsonl: the engine that answers changed since it was written" in capsys.readouterr().err

    def killed(*given, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(engine, "generate", killed)
        patch.setattr("byorn.evaluation.predict.generate_bounded", killed)
        assert evaluate("begun", engine=first) == 130
    capsys.readouterr()
    assert evaluate("begun", engine=second) == 2
    assert "the engine that answers changed since it was written" in capsys.readouterr().err
    assert evaluate("begun", engine=first) == 0


def test_what_vllm_does_not_take_is_refused_before_a_model_is_loaded(engine, evaluate, no_model, monkeypatch, capsys):
    monkeypatch.setattr("byorn.training.engine.checks.has_gpu", lambda on_cpu: not on_cpu)
    assert evaluate("cpu") == 2
    assert "vllm wants a CUDA device" in capsys.readouterr().err
    assert evaluate("second", "--device", "cuda:1") == 2
    assert (
        "runs on the first GPU that it sees, and --device is cuda:1; set CUDA_VISIBLE_DEVICES=1"
        in capsys.readouterr().err
    )
    monkeypatch.setattr("byorn.training.engine.checks.find_spec", lambda name: None)
    assert evaluate("missing") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "response_engine: vllm is not installed: pip install 'byorn[vllm]'; or use" in line


def test_other_figures_of_finished_answers_want_no_engine(engine, evaluate, tmp_path, monkeypatch, capsys):
    """The advice to answer by transformers instead would end in the refusal of what is there."""
    assert evaluate("done") == 0
    monkeypatch.setattr("byorn.training.engine.checks.has_gpu", lambda on_cpu: False)
    assert evaluate("done", "--metrics", "rouge_l") == 0
    assert "rouge_l" in json.loads((tmp_path / "done/metrics.json").read_text())["clean"]
    (tmp_path / "done/predictions.jsonl").unlink()
    assert evaluate("done") == 2
    assert "vllm wants a CUDA device" in capsys.readouterr().err


def test_an_adapter_that_vllm_would_leave_out_is_refused(engine, evaluate, capsys):
    assert evaluate("vision", adapter="vision") == 2
    assert "vllm has LoRA on the language model alone" in capsys.readouterr().err
    assert engine.made == []


def verify(place, out, adapter, engine):
    command = ["verify", str(place / "scan"), "--out", str(out), "--adapter", str(adapter), "--max-new-tokens", "6"]
    return main([*command, "--response-engine", engine])


def test_one_engine_answers_for_the_pretrained_and_the_tuned_model(engine, place, adapters, tmp_path):
    code = verify(place, tmp_path / "plain", adapters / "plain", "transformers")
    assert engine.made == []
    assert verify(place, tmp_path / "vllm", adapters / "plain", "vllm") == code
    (made,) = engine.made
    assert made.options["max_lora_rank"] == 16
    assert (len(made.calls), len(made.requests)) == (2, 1)  # the pretrained model has no adapter
    answers = lines(tmp_path / "vllm/verify.jsonl")
    assert answers == lines(tmp_path / "plain/verify.jsonl")
    assert any(line["tuned"] != line["pretrained"] for line in answers)


def test_a_finished_verdict_is_told_again_without_an_engine(engine, place, adapters, tmp_path, monkeypatch, capsys):
    code = verify(place, tmp_path / "done", adapters / "plain", "vllm")
    verdict = (tmp_path / "done/verify.json").read_text()
    monkeypatch.setattr("byorn.training.engine.checks.find_spec", lambda name: None)
    assert verify(place, tmp_path / "done", adapters / "plain", "vllm") == code
    assert (tmp_path / "done/verify.json").read_text() == verdict
    assert len(engine.made) == 1
    assert verify(place, tmp_path / "new", adapters / "plain", "vllm") == 2
    assert "vllm is not installed" in capsys.readouterr().err


def test_an_adapter_that_has_answered_wants_no_engine_after_another_one(
    engine, place, adapters, tmp_path, monkeypatch, capsys
):
    """The verdict that is there is about the other one; the answers of both are."""
    shutil.copytree(adapters / "plain", tmp_path / "other")
    weights = load_file(adapters / "plain/adapter_model.safetensors")
    save_file({key: -weight for key, weight in weights.items()}, tmp_path / "other/adapter_model.safetensors")
    code = verify(place, tmp_path / "out", adapters / "plain", "vllm")
    verdict = (tmp_path / "out/verify.json").read_text()
    verify(place, tmp_path / "out", tmp_path / "other", "vllm")
    assert (tmp_path / "out/verify.json").read_text() != verdict
    monkeypatch.setattr("byorn.training.engine.checks.find_spec", lambda name: None)
    assert verify(place, tmp_path / "out", adapters / "plain", "vllm") == code
    assert (tmp_path / "out/verify.json").read_text() == verdict
    assert verify(place, tmp_path / "out", adapters / "vision", "vllm") == 2
    assert "vllm is not installed" in capsys.readouterr().err
    assert len(engine.made) == 2


def test_verify_refuses_an_adapter_before_the_pretrained_model_answers(engine, place, adapters, tmp_path, capsys):
    assert verify(place, tmp_path / "vision", adapters / "vision", "vllm") == 2
    assert "vllm has LoRA on the language model alone" in capsys.readouterr().err
    assert engine.made == []


def test_an_adapter_that_leaves_the_vision_tower_out_by_name_is_taken(engine, place, adapters, tmp_path):
    folder = tmp_path / "elsewhere"
    shutil.copytree(adapters / "plain", folder)
    config = json.loads((folder / "adapter_config.json").read_text())
    names = {"target_modules": ["q_proj", "v_proj"], "exclude_modules": ".*vision_tower.*"}
    (folder / "adapter_config.json").write_text(json.dumps(config | names))
    kept = {
        key: w
        for key, w in load_file(adapters / "plain/adapter_model.safetensors").items()
        if "q_proj" in key or "v_proj" in key
    }
    save_file(kept, folder / "adapter_model.safetensors")
    assert verify(place, tmp_path / "out", folder, "vllm") in (0, 1, 3)
    assert len(engine.made[0].requests) == 1
