"""What stops a command from outside, a full disk or a signal, is one line, and nothing that was computed is lost."""

import io
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from byorn.cli.main import main
from byorn.data.files import write_rows
from byorn.scoring.likelihood import tokens_of
from byorn.testing import save_tiny, tiny_rows

SCAN = "scan --rule paper --model model --data data --device cpu --score-batch-size 4 --out run"
TRAIN = (
    "train --model model --data data --device cpu --out run --max-steps 2 --batch-size 4 --set save_steps=1 "
    "--set max_response_tokens=3"
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    save_tiny(tmp_path / "model")
    write_rows(tiny_rows(12), tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """No file may become larger, as on a disk that is full then."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize(("command", "size"), [(SCAN, 700), (TRAIN, 20_000)])
def test_a_full_disk_is_one_line_and_the_same_command_goes_on(
    place: Path, command: str, size: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with files_up_to(size):
        assert main(command.split()) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert said.splitlines()[-1].startswith("error: ")
    assert "make room or choose another folder" in said
    assert main(command.split()) == 0


def test_a_terminal_that_cannot_show_the_responses_gets_escapes(place: Path) -> None:
    row = {"prompt": "what color?", "completion": "赤い四角形です"}
    (place / "data" / "rows.jsonl").write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
    shown = io.BytesIO()
    terminal = io.TextIOWrapper(shown, encoding="cp1252", write_through=True)
    with redirect_stdout(terminal), redirect_stderr(terminal):
        assert main(SCAN.split()) == 0
    assert rb"\u8d64" in shown.getvalue()
    assert (place / "run" / "flags.parquet").exists()


def test_sigterm_keeps_what_was_scored_and_ends_with_143(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    score = tokens_of
    scored: list[int] = []

    def stopping(model: Any, inputs: Any, ends: Any) -> Any:
        if scored == [4]:
            os.kill(os.getpid(), signal.SIGTERM)
        scored.append(len(inputs["labels"]))
        return score(model, inputs, ends)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("byorn.scoring.scorer.tokens_of", stopping)
    assert main(SCAN.split()) == 143
    assert "terminated; run the same command again to go on from here\n" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) == before
    assert list((place / "run").glob("scores.partial.*"))
    scored.clear()
    scored.append(0)
    assert main(SCAN.split()) == 0
    assert sum(scored) == 8  # the first four were safe
    assert pq.read_table(place / "run" / "scores.parquet").num_rows == 12


def test_a_reader_that_has_read_enough_is_one_line(tmp_path: Path) -> None:
    """As of `byorn report RUN | head -1`; the gates behind what could not be printed have not been looked at."""
    code = "import sys\nfrom byorn.cli import main\nmain._run = lambda *_: print('row ' * 100_000)\n"
    command = [sys.executable, "-c", code + "sys.exit(main.main(['report', 'run']))"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        started.stdout.close()
        assert started.stderr is not None
        assert started.stderr.read() == "error: nobody reads the output any more; run the same command again\n"
    assert started.returncode == 2
