"""Features that were stored are read by later runs of the same tower on the same images, and by no other; whatever
happens to the files, they are never wrong.
"""

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import Trainer, TrainingArguments

from byorn.errors import ConfigError
from byorn.models import feature_store
from byorn.models.feature_store import GIGABYTE, FeatureStore
from byorn.models.features import keep_features
from byorn.models.load import load_model
from byorn.models.spec import ModelSpec
from byorn.pipeline.scanned import values_of_run
from byorn.settings import build
from byorn.testing import save_tiny, tiny_model

ONE = 16 * 64 * 4 / GIGABYTE
"""Features of an image of the tiny model."""


def picture(seed):
    return torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(seed))


class Run:
    """A model with a store; how many images its tower sees."""

    def __init__(self, folder, *, gigabytes=1.0, memory=0.0, model=None):
        self.model = model or tiny_model()
        keep_features(self.model, memory, FeatureStore(folder, gigabytes))
        self.seen = 0
        self.model.model.vision_tower.register_forward_pre_hook(self._see)

    def _see(self, tower, given):
        self.seen += len(given[0])

    @torch.no_grad()
    def look(self, *seeds):
        config = self.model.config
        features = self.model.model.get_image_features(
            torch.cat([picture(seed) for seed in seeds]),
            vision_feature_layer=config.vision_feature_layer,
            vision_feature_select_strategy=config.vision_feature_select_strategy,
        )
        return torch.stack(features.pooler_output)

    def end(self):
        """As the end of the process."""
        self.model = None
        gc.collect()
        return self


def files(folder):
    return sorted(folder.rglob("*.safetensors"))


@pytest.fixture
def stored(tmp_path):
    """A folder with the features of pictures 1 to 3, and what they are."""
    run = Run(tmp_path)
    features = run.look(1, 2, 3)
    assert run.end().seen == 3
    assert len(files(tmp_path)) == 1
    return tmp_path, features


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
    code = "from test_feature_store import Run; from pathlib import Path; import sys; Run(Path(sys.argv[1])).look(1, 2)"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=Path(__file__).parent, timeout=300)
    assert done.returncode == 0
    run = Run(tmp_path)
    run.look(2, 1)
    assert run.seen == 0


def other_weights(model):
    with torch.no_grad():
        model.model.multi_modal_projector.linear_1.weight[0, 0] += 1e-6


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


def flipped(path):
    data = bytearray(path.read_bytes())
    data[-5] ^= 1  # in the features of one picture
    path.write_bytes(data)


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def foreign(path):
    path.write_bytes(b"something else")


def of_another_tower(path):
    """The file that another tower left of the same pictures, moved here by hand."""
    model = tiny_model()
    other_weights(model)
    folder = path.parent.parent / "other"
    run = Run(folder, model=model)
    run.look(1, 2, 3)
    del model
    run.end()
    files(folder)[0].replace(path)


@pytest.mark.parametrize("damage", [flipped, cut, foreign, of_another_tower])
def test_a_damaged_file_is_told_and_its_images_are_computed_again(stored, damage, capsys):
    folder, features = stored
    damage(files(folder)[0])
    run = Run(folder)
    assert torch.equal(run.look(1, 2, 3), features)
    assert run.seen >= 1
    path = files(folder)[0]
    assert capsys.readouterr().err.count(f"{path} is damaged") == 1
    run.end()
    after = Run(folder)
    assert torch.equal(after.look(1, 2, 3), features)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_what_others_put_into_the_folder_neither_stops_a_run_nor_reaches_its_terminal(stored, capsys):
    folder, features = stored
    tower = files(folder)[0].parent
    os.mkfifo(tower / "pipe.safetensors")
    (tower / "\x1b[31m\n.safetensors").write_bytes(b"something else")
    run = Run(folder)
    assert torch.equal(run.look(1, 2, 3), features)
    assert run.seen == 0
    said = capsys.readouterr().err
    assert "is damaged" in said
    assert "\x1b" not in said


def test_what_a_killed_process_left_is_no_harm(stored):
    folder, features = stored
    path = files(folder)[0]
    path.with_name(f".{path.name}.tmp").write_bytes(path.read_bytes()[:50])
    run = Run(folder)
    assert torch.equal(run.look(1, 2, 3), features)
    assert run.seen == 0


def test_a_full_folder_takes_no_more_and_says_so_once(stored, capsys):
    folder, features = stored
    held = sum(path.stat().st_size for path in files(folder)) / GIGABYTE
    run = Run(folder, gigabytes=held + 1.5 * ONE)
    run.look(4, 5, 6)
    again = run.look(1, 4, 5, 6)
    assert torch.equal(again[:1], features[:1])
    assert run.end().seen == 5  # 4 found room
    assert capsys.readouterr().err.count("nothing more is added") == 1
    assert len(files(folder)) == 2


def test_a_folder_that_cannot_be_written_costs_time_and_not_the_run(tmp_path, monkeypatch, capsys):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    monkeypatch.setattr(feature_store, "FILE", 1)
    run = Run(tmp_path)
    first = run.look(1, 2)
    assert torch.equal(run.look(1, 2), first)
    assert capsys.readouterr().err.count("No space left on device") == 1
    assert not list(tmp_path.rglob("*.*"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="runs are forks")
def test_processes_that_write_at_once_are_in_nobodys_way(tmp_path, monkeypatch):
    monkeypatch.setattr(feature_store, "FILE", 1)  # a file each image
    right = Run(tmp_path / "none", gigabytes=1e-9).look(*range(8))
    children = []
    for first in range(4):
        if not (child := os.fork()):
            code = 1
            try:
                run = Run(tmp_path / "store")
                seeds = [(first * 2 + at) % 8 for at in range(6)]
                code = 0 if torch.equal(run.look(*seeds), right[seeds]) else 1
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    run = Run(tmp_path / "store")
    assert torch.equal(run.look(*range(8)), right)
    assert run.seen == 0


def test_the_setting_keeps_what_a_loaded_model_sees(tmp_path, capsys):
    save_tiny(tmp_path / "model")
    for seen in (1, 0):
        model = load_model(str(tmp_path / "model"), device="cpu", feature_store=tmp_path / "store")
        run = Run.__new__(Run)
        run.model, run.seen = model, 0
        model.model.vision_tower.register_forward_pre_hook(run._see)
        run.look(1)
        assert run.seen == seen
        del model
        run.end()
    assert "of this vision tower 1 image(s) are in" in capsys.readouterr().err


def test_a_folder_that_is_a_file_is_refused_before_the_model_is_loaded(tmp_path):
    (tmp_path / "store").write_text("")
    with pytest.raises(ConfigError, match="--feature-store"):
        load_model("embedded", device="cpu", feature_store=tmp_path / "store")


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
