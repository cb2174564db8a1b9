"""Two runs at once in one folder: the second is refused, whatever it would do there."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from byorn.cli.main import main
from byorn.data.files import write_rows
from byorn.data.spec import DataSpec
from byorn.errors import ConfigError
from byorn.models.spec import ModelSpec
from byorn.pipeline.evaluate import evaluate
from byorn.pipeline.rewrite import rewrite
from byorn.pipeline.settings.rewrite import RewriteSpec
from byorn.pipeline.settings.verify import VerifySpec
from byorn.pipeline.simulate import simulate
from byorn.pipeline.verify import verify
from byorn.runs.alone import alone
from byorn.testing import tiny_rows

fcntl = pytest.importorskip("fcntl")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("byorn.runs.alone.PATIENCE", 0.0)
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def held_by_another(folder: Path) -> int:
    """Another run at work there, as the system sees it: the folder is open and locked."""
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


@pytest.mark.parametrize("command", ["scan", "train"])
def test_a_second_run_is_refused_before_it_reads_or_writes_anything(
    command: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_rows(tiny_rows(4), folder.parent / "data")
    another = held_by_another(folder)
    try:
        assert main([command, "--model", "nowhere", "--data", str(folder.parent / "data"), "--out", str(folder)]) == 2
    finally:
        os.close(another)
    assert f"--out {folder}: another run is at work there" in capsys.readouterr().err
    assert not any(folder.iterdir())


ON_A_SCAN: list[Callable[..., object]] = [
    lambda run, data, model, out: evaluate(data, model, out),
    lambda run, data, model, out: verify(run, data, model, out, VerifySpec(adapter=str(run))),
    lambda run, data, model, out: rewrite(run, data, model, out, RewriteSpec(mode="drop")),
    simulate,
]


@pytest.mark.parametrize("command", ON_A_SCAN, ids=["evaluate", "verify", "rewrite", "simulate"])
def test_so_is_a_second_one_of_what_comes_after_a_scan(command: Callable[..., object], folder: Path) -> None:
    run = folder.parent / "scan"
    run.mkdir()
    (run / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    (run / "adapter_model.safetensors").touch()
    another = held_by_another(folder)
    try:
        with pytest.raises(ConfigError, match="another run is at work there"):
            command(run, DataSpec(source="nowhere.json"), ModelSpec(name="nowhere"), folder)
    finally:
        os.close(another)
    assert not any(folder.iterdir())


def test_a_folder_is_free_when_the_run_has_ended_or_failed_and_never_closed_to_itself(folder: Path) -> None:
    def fail() -> None:
        with alone(folder), alone(folder):
            with pytest.raises(BlockingIOError):
                held_by_another(folder)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    another = held_by_another(folder)
    with pytest.raises(ConfigError, match="another run"), alone(folder):
        pass
    os.close(another)
    with alone(folder):
        pass


def test_where_a_disk_knows_no_locks_a_run_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(descriptor: int, operation: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unknown)
    with alone(folder):
        pass
