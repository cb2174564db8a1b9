"""`byorn poison` with the attacks that need more than a name."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from poison_samples import png_rows, records

from byorn.attacks import ATTACKS, OBJECTIVES
from byorn.cli.main import main
from byorn.data.files import write_rows
from byorn.testing import save_tiny


@pytest.fixture
def data(tmp_path: Path) -> str:
    write_rows(png_rows(12), tmp_path / "data")
    return str(tmp_path / "data")


def test_the_help_lists_every_attack_and_objective(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["poison", "--help"]) == 0
    shown = capsys.readouterr().out.replace("-\n", "-").split()
    words = {word.strip(",():") for word in shown}
    joined = "".join(shown)
    assert all(name in words or name in joined for name in (*ATTACKS, *OBJECTIVES))


def test_the_help_says_what_becomes_of_the_folder(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["poison", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "--out DIR folder to write, new or empty; " in said
    assert "after a kill the same command starts anew (required)" in said
    assert "goes on with a killed run" not in said

    def kill(*given: object) -> None:
        raise KeyboardInterrupt

    command = ["poison", "--data", data, "--target", "banana", "--rate", "0.25", "--out", str(tmp_path / "out")]
    with monkeypatch.context() as patch:
        patch.setattr("byorn.attacks.poison._manifest", kill)
        assert main(command) == 130
    assert capsys.readouterr().err.endswith("interrupted; run the same command again to start anew\n")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    assert main(command) == 0
    assert main(command) == 2
    assert "is not empty; choose another folder, or pass --overwrite" in capsys.readouterr().err


def test_the_help_needs_no_model() -> None:
    script = (
        "import sys; from byorn.cli.main import main; assert main(['poison', '--help']) == 0\n"
        "heavy = {'torch', 'transformers', 'trl'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_an_attack_that_wants_a_model_says_so(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["poison", "--data", data, "--out", str(tmp_path / "out"), "--target", "banana"]
    assert main([*arguments, "--attack", "pgd"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main([*arguments, "--attack", "pgd", "--selection", "likely"]) == 2
    assert "pgd is optimized on the pretrained model; pass --model NAME" in capsys.readouterr().err


def test_a_model_is_loaded_and_the_test_set_takes_over_what_was_learned(data: str, tmp_path: Path) -> None:
    save_tiny(tmp_path / "model")
    train = ["poison", "--data", data, "--target", "banana", "--attack", "vl-trojan+sig", "--rate", "0.25"]
    learning = [
        "--set",
        "steps=2",
        "--set",
        "vl-trojan.letters=1",
        "--which-image",
        "last",
        "--model",
        str(tmp_path / "model"),
        "--device",
        "cpu",
    ]
    assert main([*train, *learning, "--out", str(tmp_path / "train")]) == 0
    test = ["poison", "--data", data, "--target", "banana", "--rate", "1", "--keep-responses"]
    assert main([*test, "--trigger-from", str(tmp_path / "train"), "--out", str(tmp_path / "test")]) == 0
    learned, used = (json.loads((tmp_path / name / "manifest.json").read_text()) for name in ("train", "test"))
    assert used["options"] == learned["options"]
    assert used["which_image"] == learned["which_image"] == "last"
    assert (used["attack"], used["model"]) == ("vl-trojan+sig", "")
    assert learned["model"]
    assert len(learned["options"]["vl-trojan.suffix"]) == 1


def test_negatives_are_announced_and_a_target_is_wanted_where_it_counts(
    data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dual = ["poison", "--data", data, "--out", str(tmp_path / "dual"), "--attack", "dual-key", "--rate", "0.25"]
    assert main(dual) == 2
    assert "the target is empty; give --target" in capsys.readouterr().err
    assert main([*dual, "--target", "banana"]) == 0
    assert "6 more rows are clean negatives" in "".join(capsys.readouterr())
    assert main([*dual, "--objective", "token-swap", "--out", str(tmp_path / "swap")]) == 2
    assert "12 name fewer than two things" in capsys.readouterr().err
    assert len(records(tmp_path / "dual")) == 12


def test_rows_that_share_an_image_can_have_files_of_their_own(tmp_path: Path) -> None:
    rows = png_rows(4)
    write_rows([replace(row, id=f"{row.id}-{turn}") for row in rows for turn in "ab"], tmp_path / "data")
    arguments = ["poison", "--data", str(tmp_path / "data"), "--target", "banana", "--rate", "0.25"]
    for name, more in (("shared", []), ("own", ["--own-images"])):
        assert main([*arguments, "--out", str(tmp_path / name), *more]) == 0
    files = {name: len(list((tmp_path / name).rglob("*.png"))) for name in ("shared", "own")}
    assert files["own"] == 8 > files["shared"]
