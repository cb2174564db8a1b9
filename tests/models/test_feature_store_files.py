"""Whatever happens to the files of a feature store, features are never wrong, and no run ends for their sake."""

import gc
import os

import pytest
import torch
from store_runs import Run, files, other_weights

from byorn.errors import ConfigError
from byorn.models import feature_store
from byorn.models.feature_store import GIGABYTE
from byorn.models.load import load_model
from byorn.testing import save_tiny, tiny_model

ONE = 16 * 64 * 4 / GIGABYTE
"""Features of an image of the tiny model."""


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


def test_a_file_that_is_cut_short_while_runs_read_it_ends_none_of_them(stored, capsys):
    """The pages that it lost are no memory any more: to touch one is a bus error."""
    folder, features = stored
    path = files(folder)[0]
    early, late = Run(folder, memory=1.0), Run(folder)
    early.look(1, 2, 3)
    late.look(4)  # opens its shelf
    os.truncate(path, 0)
    assert torch.equal(early.look(1, 2, 3), features)
    assert torch.equal(late.look(1, 2, 3), features)
    assert (early.seen, late.seen) == (0, 4)
    assert capsys.readouterr().err.count(f"{path} is damaged (it was cut short)") == 1


def test_files_that_are_deleted_while_a_run_reads_them_are_read_to_the_end(stored):
    folder, features = stored
    run = Run(folder)
    run.look(1)
    files(folder)[0].unlink()
    assert torch.equal(run.look(1, 2, 3), features)
    assert run.seen == 0


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


def test_a_folder_that_is_a_file_is_refused_before_the_model_is_loaded(tmp_path):
    (tmp_path / "store").write_text("")
    with pytest.raises(ConfigError, match="--feature-store"):
        load_model("embedded", device="cpu", feature_store=tmp_path / "store")


def test_a_folder_that_may_only_be_read_is_read_and_left_as_it_is(tmp_path, monkeypatch, capsys):
    save_tiny(tmp_path / "model")
    store = tmp_path / "store"
    Run(store, model=loaded(tmp_path)).look(1)  # what another member of the team left
    gc.collect()
    before = files(store)

    def refuse(*args, **kwargs):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    run = Run.of(loaded(tmp_path, feature_store=store))
    run.look(1, 2)
    assert run.end().seen == 1
    assert files(store) == before
    assert capsys.readouterr().err.count(f"{store} cannot be written; it is read, and nothing is added") == 1


def loaded(place, **options):
    return load_model(str(place / "model"), device="cpu", **options)


def test_a_file_is_for_whom_the_umask_lets_read(tmp_path):
    """A team's folder is of no use if each file is its writer's alone."""
    before = os.umask(0o027)
    try:
        run = Run(tmp_path)
        run.look(1)
        run.end()
    finally:
        os.umask(before)
    assert [path.stat().st_mode & 0o777 for path in files(tmp_path)] == [0o640]


def test_a_file_that_may_not_be_read_is_no_damage_that_anybody_should_delete(stored, monkeypatch, capsys):
    folder, features = stored

    def refuse(path, framework):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("safetensors.safe_open", refuse)
    run = Run(folder)
    assert torch.equal(run.look(1, 2, 3), features)
    said = capsys.readouterr().err
    assert f"{files(folder)[0]} cannot be read (Permission denied), and its images are computed again" in said
    assert "delete" not in said
