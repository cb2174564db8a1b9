"""A model comes with its processor, or with one line that says why not."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from refused import refusal

from byorn.data.dataset import to_dataset
from byorn.errors import ConfigError
from byorn.models.digest import model_digest, processor_digest
from byorn.models.load import (
    choose_dtype,
    default_device,
    load_config,
    load_model,
    load_processor,
    resolve_model,
)
from byorn.models.spec import ModelSpec
from byorn.scoring.score import score_dataset
from byorn.testing import save_tiny, tiny_processor, tiny_rows


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model on disk; copy it before you break it."""
    folder = tmp_path_factory.mktemp("checkpoint")
    save_tiny(folder)
    return folder


@pytest.fixture
def broken(checkpoint: Path, tmp_path: Path) -> Path:
    """A copy of the checkpoint, to be broken."""
    return Path(shutil.copytree(checkpoint, tmp_path / "broken"))


def test_a_saved_model_comes_back_the_same(model: Any, processor: Any, checkpoint: Path) -> None:
    loaded, again = load_model(str(checkpoint), device="cpu"), load_processor(str(checkpoint))
    assert (loaded.dtype, loaded.training) == (torch.float32, False)
    assert model_digest(loaded) == model_digest(model)
    assert processor_digest(again) == processor_digest(processor)
    dataset = to_dataset(tiny_rows(3))
    assert score_dataset(loaded, again, dataset).nll.tolist() == score_dataset(model, processor, dataset).nll.tolist()


def test_the_number_type_can_be_chosen_and_makes_another_digest(model: Any, checkpoint: Path) -> None:
    half = load_model(str(checkpoint), dtype="bfloat16", device="cpu")
    assert half.dtype == torch.bfloat16
    assert model_digest(half) != model_digest(model)


def test_half_precision_still_scores(processor: Any, model: Any, checkpoint: Path) -> None:
    half = load_model(str(checkpoint), dtype="bfloat16", device="cpu")
    dataset = to_dataset(tiny_rows(3))
    scores = score_dataset(half, processor, dataset)
    assert scores.nll == pytest.approx(score_dataset(model, processor, dataset).nll, abs=0.05)


def test_a_model_name_is_a_folder_or_a_hub_name(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(checkpoint.parent))
    assert resolve_model(str(checkpoint)) == str(checkpoint)
    assert resolve_model(f"~/{checkpoint.name}") == str(checkpoint)
    assert resolve_model("some/model") == "some/model"
    assert resolve_model("embedded").endswith("weights")


@pytest.mark.parametrize("load", [load_model, load_processor])
@pytest.mark.parametrize("name", ["./not/there", "/not/there", "~/not/there"])
def test_a_folder_that_is_not_there_is_named(load: Callable[..., Any], name: str) -> None:
    assert f"no folder '{name}'" in refusal(load, name)


@pytest.mark.parametrize("load", [load_model, load_processor])
@pytest.mark.parametrize("name", ["nobody/no-such-model", "not a name", "", "a/b/c"])
def test_a_hub_name_that_leads_nowhere_is_refused(load: Callable[..., Any], name: str) -> None:
    assert repr(name) in refusal(load, name)


@pytest.mark.parametrize("load", [load_model, load_processor])
def test_an_empty_folder_is_refused(load: Callable[..., Any], tmp_path: Path) -> None:
    assert str(tmp_path) in refusal(load, str(tmp_path))


@pytest.mark.parametrize("load", [load_model, lambda name: load_config(ModelSpec(name=name))])
def test_an_adapter_in_the_place_of_its_model_is_called_one(load: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    line = refusal(load, str(tmp_path))
    assert "it is an adapter, not a model; give the model that it was trained on" in line


def test_a_processor_without_a_chat_template_is_refused(broken: Path) -> None:
    (broken / "chat_template.jinja").unlink()
    assert "no chat template" in refusal(load_processor, str(broken))


def test_a_template_for_plain_texts_does_not_teach_the_model_python_lists(broken: Path) -> None:
    template = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    (broken / "chat_template.jinja").write_text(template)
    assert "its chat template takes plain texts" in refusal(load_processor, str(broken))


def test_a_tokenizer_that_cannot_pad_is_refused_before_the_first_batch(broken: Path) -> None:
    settings = json.loads((broken / "tokenizer_config.json").read_text())
    (broken / "tokenizer_config.json").write_text(json.dumps({**settings, "pad_token": None}))
    assert "name one as pad_token" in refusal(load_processor, str(broken))


def test_a_language_model_is_refused(tmp_path: Path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=1, vocab_size=300
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    tiny_processor().tokenizer.save_pretrained(tmp_path)
    assert "byorn needs a vision-language model" in refusal(load_processor, str(tmp_path))
    assert "cannot be loaded" in refusal(load_model, str(tmp_path), device="cpu")


@pytest.mark.parametrize("text", ["{", "[]", '{"model_type": "no-such-model"}'])
def test_a_broken_config_is_refused(broken: Path, text: str) -> None:
    (broken / "config.json").write_text(text)
    assert "cannot be loaded" in refusal(load_model, str(broken), device="cpu")


@pytest.mark.parametrize("value", ["wide", -1, None, 31])
def test_a_setting_that_makes_no_sense_is_refused(broken: Path, value: object) -> None:
    config = json.loads((broken / "config.json").read_text())
    config["text_config"]["hidden_size"] = value
    (broken / "config.json").write_text(json.dumps(config))
    assert "cannot be loaded" in refusal(load_model, str(broken), device="cpu")


def test_cut_weights_are_refused(broken: Path) -> None:
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert "cannot be loaded" in refusal(load_model, str(broken), device="cpu")


def test_weights_that_are_missing_are_not_made_up(broken: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(broken / "model.safetensors")
    seeing = [name for name in weights if "vision_tower" in name]
    rest = {name: weight for name, weight in weights.items() if name not in seeing}
    save_file(rest, broken / "model.safetensors", metadata={"format": "pt"})
    line = refusal(load_model, str(broken), device="cpu")
    assert f"{len(seeing)} of its weights are not in the checkpoint (the first: model.vision_tower." in line


def test_a_broken_processor_config_is_refused(broken: Path) -> None:
    config = broken / "tokenizer_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "tokenizer_class": "NoSuchTokenizer"}))
    (broken / "tokenizer.json").write_text("{}")
    assert "processor cannot be loaded" in refusal(load_processor, str(broken))


def test_a_device_that_is_not_there_is_refused(checkpoint: Path) -> None:
    assert "cannot be loaded" in refusal(load_model, str(checkpoint), device="toaster")


@pytest.mark.parametrize("dtype", ["int8", "half", "", "nn"])
def test_an_unknown_number_type_is_refused(checkpoint: Path, dtype: str) -> None:
    with pytest.raises(ConfigError, match="auto, float32, bfloat16, float16"):
        load_model(str(checkpoint), dtype=dtype)


def test_the_default_device_is_the_cpu_where_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert default_device() == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert default_device() == "cuda:3"


@pytest.mark.parametrize(
    ("native", "stored", "chosen"),
    [
        (True, "bfloat16", "bfloat16"),
        (False, "bfloat16", "float32"),
        (True, "float32", "float32"),
    ],
)
def test_a_cpu_computes_in_half_precision_only_where_it_has_instructions_for_it(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, native: bool, stored: str, chosen: str
) -> None:
    folder = shutil.copytree(checkpoint, tmp_path / "half")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "dtype": stored}))
    monkeypatch.setattr("byorn.models.load.cpu_has_bfloat16", lambda: native)
    assert choose_dtype(ModelSpec(name=str(folder)), "cpu") == chosen
    assert choose_dtype(ModelSpec(name=str(folder)), "cuda") == "auto"
    assert choose_dtype(ModelSpec(name=str(folder), dtype="float16"), "cpu") == "float16"
