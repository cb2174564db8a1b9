"""Files of a run appear whole or not at all."""

from pathlib import Path

import pytest

from byorn.runs.atomic import atomic_path
from byorn.runs.folder import write_config


def test_a_file_takes_the_place_of_the_old_one_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    path.write_text("old")
    with atomic_path(path) as partial:
        partial.write_text("new")
        assert path.read_text() == "old"
    assert [(found.name, found.read_text()) for found in tmp_path.iterdir()] == [("scores.parquet", "new")]


def test_after_an_error_the_old_file_is_there_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    path.write_text("old")

    def write_half() -> None:
        with atomic_path(path) as partial:
            partial.write_text("ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert [(found.name, found.read_text()) for found in tmp_path.iterdir()] == [("scores.parquet", "old")]


def test_settings_that_cannot_be_written_leave_the_earlier_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_config(tmp_path, {"command": "scan"})

    def full(path: Path, text: str, **options: str) -> int:
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        write_config(tmp_path, {"command": "train"})
    monkeypatch.undo()
    assert (tmp_path / "config.yaml").read_text() == "command: scan\n"
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]
