"""A run goes on from the last whole checkpoint, whatever has happened to the ones after it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from runner import adapters, build, settings

from byorn.data.dataset import to_dataset
from byorn.errors import TrainingError
from byorn.testing import tiny_rows
from byorn.training.checkpoints import damage, last_checkpoint
from byorn.training.trainer import ByornTrainer

SAVING = {"save_strategy": "steps", "save_steps": 1, "max_steps": 4}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoints of a run of four steps, one for each."""
    folder = tmp_path_factory.mktemp("finished")
    build(folder, **SAVING).train()
    return folder


@pytest.fixture
def checkpoints(finished: Path, tmp_path: Path) -> Path:
    """Those of steps 2 and 3, as if the run had been killed in the last step."""
    for step in (2, 3):
        shutil.copytree(finished / f"checkpoint-{step}", tmp_path / f"checkpoint-{step}")
    return tmp_path


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def flipped(path: Path) -> None:
    """One bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def locked(path: Path) -> None:
    """The bit that says that a part has a password."""
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] ^= 1
    path.write_bytes(bytes(content))


def removed(path: Path) -> None:
    path.unlink()


def of_another_step(path: Path) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), "global_step": 2}))


def of_strangers(path: Path) -> None:
    path.write_text('{"global_step": 3, "stranger": 1}')


def of_another_program(path: Path) -> None:
    path.write_text("no archive")


FILES = (
    "trainer_state.json", "optimizer.pt", "scheduler.pt", "rng_state.pth", "adapter_model.safetensors",
    "adapter_config.json", "ema/adapter_model.safetensors", "ema/adapter_config.json"
)  # fmt: skip
CASES: list[tuple[str, Callable[[Path], None]]] = [
    *((name, harm) for name in FILES for harm in (emptied, cut, removed)),
    *((name, flipped) for name in ("optimizer.pt", "rng_state.pth")),
    ("rng_state.pth", locked),
    ("scaler.pt", of_another_program),
    ("trainer_state.json", of_another_step),
    ("trainer_state.json", of_strangers),
]


@pytest.mark.parametrize(("name", "harm"), CASES)
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_taken(
    checkpoints: Path, capsys: pytest.CaptureFixture[str], name: str, harm: Callable[[Path], None]
) -> None:
    harm(checkpoints / "checkpoint-3" / name)
    found = last_checkpoint(checkpoints, ["ema"])
    assert found is not None
    assert found.name == "checkpoint-2"
    said = capsys.readouterr().err
    assert "checkpoint-3 is no whole checkpoint" in said
    assert name.rpartition("/")[2] in said
    assert said.count("\n") == 1


def test_a_whole_checkpoint_is_taken_without_a_word(checkpoints: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = last_checkpoint(checkpoints, ["ema"])
    assert (found and found.name, capsys.readouterr().err) == ("checkpoint-3", "")


def test_without_an_average_none_is_asked_for(checkpoints: Path) -> None:
    shutil.rmtree(checkpoints / "checkpoint-3" / "ema")
    assert damage(checkpoints / "checkpoint-3") is None
    assert damage(checkpoints / "checkpoint-3", ["ema"]) == "ema/adapter_config.json is missing"


@pytest.mark.parametrize("name", ["checkpoint-9 (copy)", "checkpoint-9.bak", "checkpoint-best", "checkpoint-"])
def test_folders_of_other_names_are_ignored(checkpoints: Path, name: str) -> None:
    shutil.copytree(checkpoints / "checkpoint-3", checkpoints / name)
    found = last_checkpoint(checkpoints, ["ema"])
    assert found is not None
    assert found.name == "checkpoint-3"


def test_where_no_checkpoint_is_whole_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-1").mkdir()
    (tmp_path / "checkpoint-2").write_text("a file")
    assert last_checkpoint(tmp_path) is None
    assert last_checkpoint(tmp_path / "nowhere") is None


def test_a_run_that_falls_back_ends_as_one_that_was_never_killed(checkpoints: Path) -> None:
    straight = build(checkpoints / "straight", **SAVING)
    straight.train()
    cut(checkpoints / "checkpoint-3" / "optimizer.pt")
    trainer = build(checkpoints, **SAVING)
    trainer.train(resume_from_checkpoint=True)
    expected, found = adapters(straight), adapters(trainer)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_a_script_that_would_go_on_from_nothing_whole_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-1").mkdir()
    with pytest.raises(TrainingError, match=r"^resume_from_checkpoint: no whole checkpoint in .*; leave it out"):
        build(tmp_path, **SAVING).train(resume_from_checkpoint=True)


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        ("optimizer.pt", cut),
        ("scheduler.pt", removed),
        ("rng_state.pth", emptied),
        ("adapter_model.safetensors", removed),
        ("ema/adapter_model.safetensors", removed),
        ("byorn.json", removed),
    ],
)
def test_a_damaged_checkpoint_that_a_script_names_is_refused(
    checkpoints: Path, name: str, harm: Callable[[Path], None]
) -> None:
    """The Trainer ends in a traceback, or begins without a word with another optimizer, adapter or average."""
    named = checkpoints / "checkpoint-3"
    harm(named / name)
    trainer = build(checkpoints, **SAVING)
    with pytest.raises(TrainingError, match=rf"^resume_from_checkpoint: {named} is no whole .*{Path(name).name}"):
        trainer.train(resume_from_checkpoint=str(named))
    assert trainer.state.global_step == 0


def test_a_damaged_checkpoint_that_the_configuration_names_is_refused_before_a_model_is_loaded(
    checkpoints: Path,
) -> None:
    named = checkpoints / "checkpoint-3"
    cut(named / "optimizer.pt")
    with pytest.raises(TrainingError, match=r"^resume_from_checkpoint: .*checkpoint-3 is no whole checkpoint"):
        ByornTrainer(
            "byorn/no-such-model", settings(checkpoints, resume_from_checkpoint=str(named)),
            train_dataset=to_dataset(tiny_rows(4)),
        )  # fmt: skip


def test_a_whole_checkpoint_under_a_name_of_its_own_is_gone_on_from(checkpoints: Path) -> None:
    kept = (checkpoints / "checkpoint-3").rename(checkpoints / "the-good-one")
    trainer = build(checkpoints, **SAVING)
    trainer.train(resume_from_checkpoint=str(kept))
    assert trainer.state.global_step == 4
