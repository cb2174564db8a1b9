"""Two runs at once in one folder: the second is refused, whatever it would do there."""

import os
from pathlib import Path

import pytest

from byorn.cli.main import main
from byorn.data.files import write_rows
from byorn.errors import ConfigError
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
