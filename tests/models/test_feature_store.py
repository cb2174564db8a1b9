"""Features that were stored are read by later runs of the same tower on the same images, and by no other."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from store_runs import Run, files, other_weights, picture
from transformers import Trainer, TrainingArguments

from byorn.models.load import load_model
from byorn.models.spec import ModelSpec
from byorn.pipeline.scanned import values_of_run
from byorn.settings import build
from byorn.testing import save_tiny, tiny_model


@pytest.mark.parametrize("memory", [0.0, 1.0])
def test_the_next_run_sees_what_is_new(stored, memory):
    folder, features = stored
    run = Run(folder, memory=memory)
    again = run.look(3, 4, 1)
    assert run.seen == 1
    assert torch.equal(again[[2, 0]], features[[0, 2]])
    run.look(4, 1)
    assert run.end().seen == 1
    third = Run(folder)
    third.look(1, 2, 3, 4)
    assert third.seen == 0


def test_features_are_written_at_the_end_of_a_process(tmp_path):
    code = "from store_runs import Run; from pathlib import Path; import sys; Run(Path(sys.argv[1])).look(1, 2)"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=Path(__file__).parent, timeout=300)
    assert done.returncode == 0
    run = Run(tmp_path)
    run.look(2, 1)
    assert run.seen == 0


def other_buffer(model):
    model.model.vision_tower.embeddings.position_ids = model.model.vision_tower.embeddings.position_ids.flip(1)


def other_layer(model):
    model.config.vision_feature_layer = -2


def other_kernel(model):
    model.set_attn_implementation("eager")


def other_type(model):
    model.bfloat16()


@pytest.mark.parametrize("change", [other_weights, other_buffer, other_layer, other_kernel, other_type])
def test_another_tower_finds_nothing(stored, change):
    folder, _ = stored
    model = tiny_model()
    change(model)
    run = Run(folder, model=model)
    if change is other_type:
        run.model.model.get_image_features(picture(1).bfloat16())
    else:
        run.look(1)
    assert run.seen == 1


def test_a_training_finds_what_a_scan_left(stored, tmp_path_factory):
    """Trainers change settings of the model that its tower does not read."""
    folder, features = stored
    run = Run(folder)
    Trainer(run.model, TrainingArguments(str(tmp_path_factory.mktemp("out")), report_to="none", use_cpu=True))
    assert torch.equal(run.look(1, 2, 3), features)
    assert run.seen == 0


def test_a_machine_that_adds_in_another_order_finds_nothing(stored, monkeypatch):
    folder, _ = stored
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    run = Run(folder)
    run.look(1)
    assert run.seen == 1


def test_weights_that_change_during_the_run_leave_nothing(stored):
    folder, features = stored
    run = Run(folder)
    assert torch.equal(run.look(1), features[:1])
    with torch.no_grad():
        run.model.model.multi_modal_projector.linear_1.weight.mul_(2)
    assert not torch.allclose(run.look(1), features[:1])
    run.end()
    assert len(files(folder)) == 1


def test_the_setting_keeps_what_a_loaded_model_sees(tmp_path, capsys):
    save_tiny(tmp_path / "model")
    for seen in (1, 0):
        model = load_model(str(tmp_path / "model"), device="cpu", feature_store=tmp_path / "store")
        run = Run.of(model)
        run.look(1)
        assert run.seen == seen
        del model
        run.end()
    assert "of this vision tower 1 image(s) are in" in capsys.readouterr().err


def test_a_run_that_goes_in_and_out_of_autocast_opens_two_shelves(tmp_path, capsys):
    """As a training in half precision does, which samples without it."""
    run = Run(tmp_path)
    for _ in range(2):
        plain = run.look(1)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = run.look(1)
    assert run.seen == 2
    assert plain.dtype != rounded.dtype
    assert capsys.readouterr().err.count("of this vision tower") == 2


def test_commands_on_a_scan_use_its_store(tmp_path):
    for name in ("scores.parquet", "flags.parquet"):
        (tmp_path / name).write_text("")
    (tmp_path / "config.yaml").write_text("data: {source: rows}\nmodel: {name: embedded, feature_store: features}\n")
    assert build(ModelSpec, values_of_run(tmp_path)).feature_store == Path("features")
