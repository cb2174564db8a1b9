"""Damage in a run folder: what can be made anew is, and said; what cannot is refused, with advice that works."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from byorn.cli.main import main
from byorn.data.files import write_rows
from byorn.runs.sealed import sealed_line
from byorn.scoring.table import read_scores
from byorn.testing import save_tiny, tiny_rows

QUICK = [
    *("--max-steps", "3", "--batch-size", "4", "--lr", "1e-2", "--scan", "none", "--rule", "paper"),
    *("--set", "max_response_tokens=3", "--set", "save_steps=1"),
]
OPTIONS = {"scan": ["--rule", "paper", "--no-report"], "train": QUICK, "evaluate": ["--max-new-tokens", "3"]}
Harm = Callable[[Path], None]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, data, and the finished folder of each command."""
    folder = tmp_path_factory.mktemp("place")
    save_tiny(folder / "model")
    write_rows(tiny_rows(8), folder / "data")
    for name in OPTIONS:
        assert run(name, folder, folder / "whole" / name) == 0
    return folder


def run(name: str, place: Path, out: Path) -> int:
    inputs = ["--model", str(place / "model"), "--data", str(place / "data"), "--device", "cpu"]
    return main([name, *inputs, *OPTIONS[name], "--out", str(out)])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def a_list(path: Path) -> None:
    path.write_text("[1, 2]\n")


def nested(path: Path) -> None:
    path.write_text("[" * 100_000)


def another_table(path: Path) -> None:
    pq.write_table(pa.table({"id": [1]}), path)


def another_digit(path: Path) -> None:
    """A person, or a disk, changes one value of the first record."""
    first, *rest = path.read_text().splitlines()
    record = {**json.loads(first), "tokens": 99}
    path.write_text("\n".join([json.dumps(record), *rest]) + "\n")


def without_a_field(path: Path) -> None:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text(
        "".join(json.dumps({key: line[key] for key in line if key != "references"}) + "\n" for line in lines)
    )


TABLE: list[Harm] = [emptied, cut, another_table, nested]
REFUSED: list[tuple[str, str, Harm]] = [
    *(("scan", "scores.parquet", harm) for harm in TABLE),
    *(("scan", "flags.parquet", harm) for harm in TABLE),
    *(("train", "config.yaml", harm) for harm in (emptied, a_list, nested)),
    *(
        ("evaluate", "predictions.jsonl", harm)
        for harm in (emptied, cut, a_list, nested, another_digit, without_a_field)
    ),
]


@pytest.mark.parametrize(("command", "name", "harm"), REFUSED)
def test_what_cannot_be_trusted_is_refused_in_one_line_and_its_advice_works(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, name: str, harm: Harm
) -> None:
    out = shutil.copytree(place / "whole" / command, tmp_path / "run")
    unfinish(out)
    harm(out / name)
    capsys.readouterr()
    assert run(command, place, out) == 2
    refusal = capsys.readouterr().err.splitlines()[-1]
    assert refusal.startswith("error: ")
    assert str(out / name) in refusal
    assert "delete" in refusal
    (out / name).unlink()
    assert run(command, place, out) == 0


def unfinish(out: Path) -> None:
    """Take away what says that a training has ended."""
    (out / "training.json").unlink(missing_ok=True)
    shutil.rmtree(out / "adapter", ignore_errors=True)


@pytest.mark.parametrize("name", ["optimizer.pt", "adapter_model.safetensors", "ema/adapter_model.safetensors"])
def test_a_training_falls_back_to_the_checkpoint_before_and_says_so(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    out = shutil.copytree(place / "whole" / "train", tmp_path / "run")
    unfinish(out)
    cut(out / "checkpoints" / "checkpoint-3" / name)
    assert run("train", place, out) == 0
    said = capsys.readouterr().err
    assert "checkpoint-3 is no whole checkpoint" in said
    assert "from checkpoint-2" in said
    weights = [folder / "adapter" / "adapter_model.safetensors" for folder in (out, place / "whole" / "train")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


@pytest.mark.parametrize("content", ["", "nonsense\n", "[]\n", "{}\n", '{"index": 0, "checksum": 3}\n', "[" * 100_000])
@pytest.mark.parametrize(("command", "stem"), [("scan", "scores"), ("evaluate", "predictions")])
def test_a_damaged_journal_is_begun_anew(place: Path, tmp_path: Path, command: str, stem: str, content: str) -> None:
    (tmp_path / f"{stem}.partial.0.jsonl").write_text(content)
    assert run(command, place, tmp_path) == 0
    assert not list(tmp_path.glob("*.partial.*"))


@pytest.mark.parametrize("command", ["scan", "train"])
@pytest.mark.parametrize("left", ["scores.parquet", "scores.partial.0.jsonl"])
def test_the_settings_of_another_scan_are_never_written_over(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, left: str
) -> None:
    """Finished or killed, its scores say nothing without them."""
    whole = place / "whole" / "scan"
    settings = (whole / "config.yaml").read_text()
    (tmp_path / "config.yaml").write_text(settings)
    (tmp_path / "rejects.jsonl").write_text("a record\n")
    if left == "scores.parquet":
        shutil.copy(whole / left, tmp_path)
    else:
        (tmp_path / left).write_text(sealed_line(read_scores(whole / "scores.parquet").metadata))
    write_rows(tiny_rows(6), tmp_path / "other")
    inputs = ["--model", str(place / "model"), "--data", str(tmp_path / "other"), "--device", "cpu"]

    assert main([command, *inputs, *OPTIONS[command], "--out", str(tmp_path)]) == 2
    assert f"{tmp_path / left}: the data set changed since it was written" in capsys.readouterr().err
    assert (tmp_path / "config.yaml").read_text() == settings
    assert (tmp_path / "rejects.jsonl").read_text() == "a record\n"


def test_a_damaged_scan_beside_is_named_and_left_out(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    beside = shutil.copytree(place / "whole" / "scan", tmp_path / "scan")
    table = pq.read_table(beside / "scores.parquet")
    values = pa.array([0.0, *table["nll"].to_pylist()[1:]])
    pq.write_table(table.set_column(table.column_names.index("nll"), "nll", values), beside / "scores.parquet")
    inputs = ["--model", str(place / "model"), "--data", str(place / "data"), "--device", "cpu"]
    assert main(["train", *inputs, "--max-steps", "1", "--batch-size", "4", "--out", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().err
    assert f"{beside / 'scores.parquet'} is not a readable score file (nll changed since it was written)" in said
    assert "scored 8 rows" in said
