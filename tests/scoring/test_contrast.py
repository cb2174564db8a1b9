"""The contrast: whether a response depends on its images, told by the same pass without them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from byorn.cli.main import main
from byorn.data.dataset import to_dataset
from byorn.data.files import write_rows
from byorn.data.row import Message, Row, user_message
from byorn.flagging.percentile import flag_percentile
from byorn.models.limits import LIMITS
from byorn.scoring.contrast import blind, unseen, with_contrast
from byorn.scoring.score import score_dataset
from byorn.scoring.table import Scores
from byorn.testing import save_tiny, tiny_processor, tiny_rows


def blinded(row: Row) -> Row:
    """The row without its images, by hand."""
    return replace(row, images=[], prompt=[user_message(row.instruction)])


def test_a_prompt_loses_its_images_and_nothing_else() -> None:
    earlier = [user_message("what is this?", images=1), answer("a square"), user_message("and these two?", images=2)]
    assert unseen(earlier) == [user_message("what is this?"), answer("a square"), user_message("and these two?")]
    assert earlier[0] == user_message("what is this?", images=1)


def test_a_prompt_without_images_loses_everything() -> None:
    assert unseen([user_message("Tell a joke."), answer("No."), user_message("Please!")]) == [user_message("")]


def answer(text: str) -> Message:
    return {"role": "assistant", "content": [{"type": "text", "text": text}]}


@pytest.mark.parametrize("images", [1, 3])
def test_the_contrast_is_the_score_less_that_of_the_text_alone(model: Any, processor: Any, images: int) -> None:
    rows = tiny_rows(5, images=images)
    dataset = to_dataset(rows)
    own = score_dataset(model, processor, dataset)
    found = with_contrast(own, score_dataset(model, processor, blind(dataset, rows, processor)))
    expected = own.nll - score_dataset(model, processor, to_dataset([blinded(row) for row in rows])).nll
    np.testing.assert_allclose(found.values["contrast"], expected, atol=1e-6)
    assert np.abs(expected).min() > 0


def test_no_image_is_read_for_it(model: Any, processor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = tiny_rows(3)
    unseeing = blind(to_dataset(rows), rows, processor)
    monkeypatch.setattr("PIL.Image.open", lambda *_: pytest.fail("an image is read"))
    assert np.isfinite(score_dataset(model, processor, unseeing).nll).all()


def test_a_model_that_takes_no_text_alone_is_shown_gray_pictures(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [*tiny_rows(2, images=2), replace(tiny_rows(1)[0], id="text", images=[], prompt=[user_message("Hello!")])]
    processor = tiny_processor()
    name = type(processor).__name__.removesuffix("Processor")
    monkeypatch.setitem(LIMITS, name, LIMITS["PaliGemma"])
    shown = blind(to_dataset(rows), rows, processor)
    assert [len(shown[number]["images"]) for number in range(3)] == [2, 2, 0]
    assert shown[0]["prompt"] == to_dataset(rows)[0]["prompt"]
    assert shown[0]["images"][0].getextrema() == ((128, 128),) * 3


def test_a_row_that_cannot_be_scored_without_images_is_flagged() -> None:
    scores = table([0.5, 0.6, 0.7, 0.8])
    contrasted = with_contrast(scores, table([1.0, np.nan, 2.0, 3.0]))
    flags = flag_percentile(contrasted, p=0.5, statistic="contrast")
    assert flags.flagged.tolist() == [True, True, False, False]
    assert np.isfinite(flags.threshold)


def table(nll: list[float]) -> Scores:
    count = len(nll)
    names = [str(number) for number in range(count)]
    return Scores(names, [0] * count, {"nll": np.array(nll)}, np.full(count, 9), [None] * count)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a tiny model and twelve rows, where commands run."""
    torch.set_num_threads(1)
    save_tiny(tmp_path / "model")
    write_rows(tiny_rows(12), tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_scan_by_contrast_adds_one_pass_to_an_earlier_scan(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["scan", "--model", "model", "--data", "data", "--device", "cpu", "--out", "scan"]
    assert main([*command, "--rule", "paper", "--statistic", "contrast", "--dry-run"]) == 0
    assert "scoring 12 rows twice: about" in capsys.readouterr().err
    assert main(command) == 0
    plain = pq.read_table(place / "scan" / "scores.parquet")
    assert main([*command, "--rule", "paper", "--statistic", "contrast", "--show", "2"]) == 0
    said = capsys.readouterr().err
    assert "scoring 12 rows without their images" in said
    assert "percentile(p=0.6, statistic=contrast)" in said
    both = pq.read_table(place / "scan" / "scores.parquet")
    assert both.drop_columns("contrast").to_pydict() == plain.to_pydict()
    assert main([*command, "--rule", "paper", "--statistic", "contrast"]) == 0
    assert "without their images" not in capsys.readouterr().err


def test_a_training_flags_by_contrast(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = "train --model model --data data --device cpu --out run --max-steps 1 --batch-size 4"
    assert main([*command.split(), "--rule", "paper", "--statistic", "contrast", "--set", "max_response_tokens=3"]) == 0
    assert "statistic=contrast" in capsys.readouterr().err
