"""A folder that nobody can write to is refused in one line by every command, before any work."""

from pathlib import Path

import pytest

from byorn.cli.main import main

EXPERIMENT = """
title: Never run
rows: 8
test_rows: 4
seeds: [0]
attacks: {badnets: {}}
rates: [0.25]
defenses: [sft]
"""
COMMANDS = (
    "scan --model embedded --data rows.jsonl --out",
    "train --model embedded --data rows.jsonl --out",
    "evaluate --model embedded --data rows.jsonl --out",
    "poison --data rows.jsonl --target banana --out",
    "demo --out",
    "bench run never --experiments . --work work --results",
    "bench run never --experiments . --results results --work",
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "never.yaml").write_text(EXPERIMENT)
    (tmp_path / "rows.jsonl").write_text('{"prompt": "what?", "completion": "this"}\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("folder", ["file", "file/below", "long" * 100, f"{'long' * 100}/below"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_that_cannot_be_is_one_line_and_exit_code_2(
    place: Path, capsys: pytest.CaptureFixture[str], command: str, folder: str
) -> None:
    assert main([*command.split(), folder]) == 2
    refusal = capsys.readouterr().err.splitlines()[-1]
    assert refusal.startswith("error: ")
    assert folder[:100] in refusal
    assert "choose " in refusal
    assert (place / "file").read_text() == "mine"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_without_permission_is_too(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    whole = Path.mkdir

    def forbidden(path: Path, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        if "closed" in path.parts:
            raise PermissionError(13, "Permission denied", str(path))
        whole(path, mode, parents, exist_ok)

    monkeypatch.setattr(Path, "mkdir", forbidden)
    assert main([*command.split(), "closed/run"]) == 2
    refusal = capsys.readouterr().err.splitlines()[-1]
    assert "Permission denied" in refusal
    assert "choose another folder" in refusal
