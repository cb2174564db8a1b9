"""Weights that are sharded over processes (FSDP2): what one of them does more often, all do; and what byorn refuses.

That training comes out as on one process is shown in `test_ranks.py`, for the layout `--fsdp`.
"""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file
from sharing import BROKEN, ROWS

from byorn.cli.main import main
from byorn.data.dataset import to_dataset
from byorn.data.files import write_rows
from byorn.errors import ConfigError, ModelError
from byorn.models.adapters import load_adapter
from byorn.models.sharding import Layout, _layers, agreed, is_sharded, most, wanted_layout
from byorn.scoring.alike import Alike, ForwardError, alike, never_alone
from byorn.scoring.score import score_dataset
from byorn.testing import save_tiny, tiny_model, tiny_rows
from byorn.training.processes import require_processes
from byorn.training.responses import SampledResponses
from byorn.training.sampling import Sampling
from launching import torchrun

HERE = Path(__file__).parent


FOUR = pytest.param(4, marks=pytest.mark.slow)


@pytest.fixture(scope="module", params=[2, FOUR])
def processes(request):
    return request.param


@pytest.fixture(scope="module")
def folder(processes, tmp_path_factory):
    """Where two or four processes have shared a model, see `sharing.py`."""
    place = tmp_path_factory.mktemp("sharing")
    save_tiny(place / "model")
    write_rows(tiny_rows(ROWS), place / "data")
    done = torchrun(processes, str(HERE / "sharing.py"), str(place), cwd=place)
    assert done.returncode == 0, done.stderr[-3000:]
    return place


@pytest.fixture(scope="module")
def found(folder, processes):
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(processes)]


def test_scores_are_those_of_one_process_where_batches_and_failures_are_uneven(found, model, processor):
    alone = score_dataset(model, processor, to_dataset(tiny_rows(ROWS))).nll
    alone[BROKEN] = -1
    for result in found:
        assert result["nll"] == pytest.approx(alone.tolist(), abs=1e-5)
        assert result["reasons"] == ["OSError: image file is truncated"]


def test_each_process_gets_the_responses_of_its_rows_however_many_others_have(found, model, processor):
    dataset = to_dataset(tiny_rows(ROWS))
    for rank, result in enumerate(found):
        source = SampledResponses(processor, Sampling(seed=0, max_new_tokens=4 + 4 * rank), batch_size=1)
        rows = [dataset[index] for index in range(1 + 2 * rank)]
        assert result["sampled"] == [response.text for response in source(model, rows, 0)]


def test_gradients_are_averaged_and_one_that_nobody_has_stays_none(found, processes):
    of_all, of_some = (1 + processes) / 2, 4 * (processes - 1) / processes
    for result in found:
        assert result["averaged"] == [[of_all] * 2, [of_some] * 2, None]


def test_processes_agree_on_the_most_and_on_the_word_of_the_first(found, processes):
    assert [result["agreed"] for result in found] == [[processes - 1, 0.5]] * processes


def test_weights_in_bfloat16_train_beside_an_average_in_float32(found):
    for result in found:
        half = result["half"]
        assert half["sharded"]
        assert half["kinds"]["ema"] == "torch.float32"
        assert len(half["losses"]) == 4
        assert np.isfinite(half["losses"]).all()
    assert all(result["half"]["sums"] == found[0]["half"]["sums"] for result in found)


def test_the_export_is_the_student_alone_and_loads_on_the_whole_model(folder, found, processor):
    adapter = folder / "half" / "adapter"
    assert not (adapter / "ema").exists()
    weights = load_file(adapter / "adapter_model.safetensors")
    assert all("lora_" in name and ".ema." not in name for name in weights)
    assert load_adapter(tiny_model(processor=processor), adapter).peft_config["default"].r > 0


def test_scan_writes_one_file_of_scores_that_are_those_of_one_process(folder, found, model, processor):
    assert not any(result["scan"] for result in found)
    scores = pq.read_table(folder / "scanned" / "scores.parquet")["nll"].to_pylist()
    assert scores == pytest.approx(score_dataset(model, processor, to_dataset(tiny_rows(ROWS))).nll.tolist(), abs=1e-5)
    assert not list((folder / "scanned").glob("*.partial*"))


# --- what needs no second process -------------------------------------------------------------------------------------


@pytest.fixture
def two(monkeypatch):
    """As the second of two processes that `accelerate launch` has started with FSDP2."""
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_the_layout_is_what_accelerate_is_told(two):
    assert wanted_layout() == Layout()
    two.setenv("FSDP_AUTO_WRAP_POLICY", "TRANSFORMER_BASED_WRAP")
    two.setenv("FSDP_TRANSFORMER_CLS_TO_WRAP", "OneLayer,OtherLayer")
    two.setenv("FSDP_RESHARD_AFTER_FORWARD", "false")
    assert wanted_layout() == Layout(frozenset({"OneLayer", "OtherLayer"}), reshard=False)
    given = {"fsdp_version": 2, "reshard_after_forward": True, "transformer_cls_names_to_wrap": "Mine"}
    assert wanted_layout({**given, "auto_wrap_policy": "TRANSFORMER_BASED_WRAP"}) == Layout(frozenset({"Mine"}))
    two.setenv("ACCELERATE_USE_FSDP", "false")
    assert wanted_layout() is None


def test_one_process_has_nothing_to_shard(two):
    two.delenv("RANK")
    assert wanted_layout() is None


@pytest.mark.parametrize(
    ("name", "value", "refusal"),
    [
        ("FSDP_VERSION", "1", "fsdp: version 1 .* set fsdp_version: 2"),
        ("FSDP_OFFLOAD_PARAMS", "true", "fsdp: cpu_offload"),
        ("FSDP_ACTIVATION_CHECKPOINTING", "true", "use gradient_checkpointing"),
        ("FSDP_CPU_RAM_EFFICIENT_LOADING", "true", "set it to false"),
        ("FSDP_RESHARD_AFTER_FORWARD", "perhaps", "fsdp: "),
    ],
)
def test_other_kinds_of_sharding_are_refused_in_one_line(two, name, value, refusal):
    two.setenv(name, value)
    args: Any = SimpleNamespace(fsdp_plugin_args=None)
    with pytest.raises(ConfigError, match=refusal) as refused:
        require_processes(args)
    assert "\n" not in str(refused.value)


def test_a_defense_that_runs_the_model_by_itself_is_refused_before_anything_is_loaded(two, tmp_path, capsys):
    two.setattr("byorn.runs.ranks.GRACE", 0)
    save_tiny(tmp_path / "model")
    write_rows(tiny_rows(4), tmp_path / "data")
    command = f"train --model {tmp_path}/model --data {tmp_path}/data --out {tmp_path}/out --defense onion"
    two.setattr("byorn.pipeline.train.build_config", lambda *_: SimpleNamespace(fsdp_plugin_args=None))
    assert main(command.split()) == 2
    assert "fsdp: onion runs the model in each process by itself" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_layers_are_those_of_the_language_model_unless_they_are_named(model):
    assert {type(layer).__name__ for layer in _layers(model, frozenset())} == {"LlamaDecoderLayer"}
    assert {type(layer).__name__ for layer in _layers(model, frozenset({"CLIPEncoderLayer"}))} == {"CLIPEncoderLayer"}
    with pytest.raises(ConfigError, match="no layer of class NoSuchLayer"):
        _layers(model, frozenset({"NoSuchLayer"}))


def test_a_whole_model_is_run_by_each_process_as_often_as_it_likes(model):
    assert not is_sharded(model)
    assert (most(model, 3), agreed(model, 0.1)) == (3, 0.1)

    def compute(batch):
        return []

    assert alike(model, compute, lambda: None) is compute
    with pytest.raises(ZeroDivisionError), never_alone(model):
        _ = 1 / 0


def test_a_forward_pass_that_fails_among_others_is_the_end(monkeypatch, model):
    monkeypatch.setattr("byorn.scoring.alike.is_sharded", lambda _: True)
    with pytest.raises(ForwardError, match="the other processes wait for it: ") as refused, never_alone(model):
        _ = 1 / 0
    assert isinstance(refused.value, ModelError)
    assert isinstance(alike(model, lambda batch: [], lambda: None), Alike)
