"""The contrast: whether a response depends on its own images, told by the same pass with another row's."""

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
from byorn.data.row import Row, user_message
from byorn.flagging.percentile import flag_percentile
from byorn.scoring.contrast import Swapped, partners, with_contrast
from byorn.scoring.score import score_dataset
from byorn.testing import save_tiny, tiny_rows


def images(row: Row) -> list[bytes]:
    return [image.read() for image in row.images]


def test_a_partner_has_as_many_images_and_other_ones() -> None:
    rows = [*tiny_rows(9), *(replace(row, id=f"two-{row.id}") for row in tiny_rows(6, images=2))]
    for row, other in zip(rows, partners(rows), strict=True):
        assert other is not None
        assert len(rows[other].images) == len(row.images)
        assert images(rows[other]) != images(row)


def test_partners_do_not_depend_on_the_order_of_the_rows() -> None:
    rows = tiny_rows(11)
    back = rows[::-1]
    forward = {rows[i].id: rows[other].id for i, other in enumerate(partners(rows)) if other is not None}
    assert forward == {back[i].id: back[other].id for i, other in enumerate(partners(back)) if other is not None}


def test_a_row_whose_input_nobody_else_lacks_has_no_partner() -> None:
    rows = [replace(row, images=tiny_rows(1)[0].images) for row in tiny_rows(4)]
    assert partners([*rows, text("one", "Tell a joke."), text("two", "Tell a joke.")]) == [None] * 6


def text(name: str, instruction: str) -> Row:
    """A row without images."""
    return replace(tiny_rows(1)[0], id=name, images=[], prompt=[user_message(instruction)])


def test_a_row_without_images_is_asked_with_the_prompt_of_another_one(model: Any, processor: Any) -> None:
    rows = [text("one", "a small red square"), text("two", "a large blue circle"), *tiny_rows(3)]
    pairs = [(row, other) for row, other in enumerate(partners(rows)) if other is not None]
    assert pairs[:2] == [(0, 1), (1, 0)]
    swapped = score_dataset(model, processor, Swapped(to_dataset(rows), pairs))
    by_hand = [replace(rows[0], prompt=rows[1].prompt), replace(rows[1], prompt=rows[0].prompt)]
    np.testing.assert_allclose(swapped.nll[:2], score_dataset(model, processor, to_dataset(by_hand)).nll, atol=1e-6)


def test_the_contrast_is_the_score_less_the_score_with_the_partners_images(model: Any, processor: Any) -> None:
    rows = tiny_rows(5)
    dataset = to_dataset(rows)
    pairs = [(row, other) for row, other in enumerate(partners(rows)) if other is not None]
    own = score_dataset(model, processor, dataset)
    found = with_contrast(own, score_dataset(model, processor, Swapped(dataset, pairs)), pairs)
    by_hand = [replace(row, images=rows[other].images) for row, (_, other) in zip(rows, pairs, strict=True)]
    expected = own.nll - score_dataset(model, processor, to_dataset(by_hand)).nll
    np.testing.assert_allclose(found.values["contrast"], expected, atol=1e-6)
    assert np.abs(expected).max() > 0


def test_rows_without_a_partner_are_never_flagged_and_failures_always(model: Any, processor: Any) -> None:
    rows = tiny_rows(4)
    scores = score_dataset(model, processor, to_dataset(rows))
    swapped = replace(scores, values={"nll": np.array([1.0, np.nan, 2.0])})
    contrasted = with_contrast(scores, swapped, [(0, 1), (1, 2), (2, 0)])
    assert contrasted.values["contrast"][3] == -np.inf
    flags = flag_percentile(contrasted, p=0.5, statistic="contrast")
    assert flags.flagged[1]
    assert not flags.flagged[3]
    assert np.isfinite(flags.threshold)


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
    assert "scoring 12 rows with the images of others" in said
    assert "percentile(p=0.6, statistic=contrast)" in said
    both = pq.read_table(place / "scan" / "scores.parquet")
    assert both.drop_columns("contrast").to_pydict() == plain.to_pydict()
    assert main([*command, "--rule", "paper", "--statistic", "contrast"]) == 0
    assert "with the images of others" not in capsys.readouterr().err


def test_a_training_flags_by_contrast(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = "train --model model --data data --device cpu --out run --max-steps 1 --batch-size 4"
    assert main([*command.split(), "--rule", "paper", "--statistic", "contrast", "--set", "max_response_tokens=3"]) == 0
    assert "statistic=contrast" in capsys.readouterr().err
