"""A hostile row costs its own score and nobody else's."""

import struct
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scoring_oracle import NO_END, broken, mixed_rows, nll_of, with_template

from byorn.data.dataset import to_dataset
from byorn.errors import ConfigError
from byorn.flagging.percentile import flag_percentile
from byorn.scoring.likelihood import tokens_of
from byorn.scoring.score import score_dataset
from byorn.testing import tiny_model, tiny_rows


def bomb() -> bytes:
    """A PNG of a few bytes that promises ten thousand million pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunks = [
        struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)) for body in (header, b"IDAT")
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize(
    "data",
    [b"not an image", tiny_rows(1)[0].images[0].read()[:60], bomb()],
    ids=["text", "truncated", "bomb"],
)
def test_a_broken_image_gives_nan_and_a_reason_for_its_row_alone(model: Any, processor: Any, data: bytes) -> None:
    rows = mixed_rows()
    rows.insert(3, broken(data))
    scores = score_dataset(model, processor, to_dataset(rows), batch_size=4)
    assert np.flatnonzero(np.isnan(scores.nll)).tolist() == [3]
    assert [place for place, reason in enumerate(scores.reasons) if reason] == [3]
    assert (scores.keys[3], scores.tokens[3]) == (("broken", 0), 0)
    assert "\n" not in str(scores.reasons[3])
    expected = [nll_of(model, processor, row) for row in rows if row.id != "broken"]
    np.testing.assert_allclose(np.delete(scores.nll, 3), expected, atol=1e-5, rtol=0)


def test_an_image_token_in_a_response_does_not_stop_the_others(model: Any, processor: Any) -> None:
    rows = [replace(row, response="<image>") if row.id == "row-1" else row for row in tiny_rows(4)]
    scores = score_dataset(model, processor, to_dataset(rows))
    assert np.flatnonzero(np.isnan(scores.nll)).tolist() == [1]
    assert scores.reasons[1]


def test_a_batch_that_does_not_fit_is_halved(model: Any, processor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, sizes = tiny_rows(5), []

    def small_memory(model: Any, inputs: Any, ends: Any) -> Any:
        sizes.append(len(inputs["labels"]))
        if sizes[-1] > 2:
            raise torch.OutOfMemoryError("no memory")
        return tokens_of(model, inputs, ends)

    monkeypatch.setattr("byorn.scoring.scorer.tokens_of", small_memory)
    scores = score_dataset(model, processor, to_dataset(rows), batch_size=5)
    assert sizes == [5, 2, 3, 1, 2]
    np.testing.assert_allclose(scores.nll, [nll_of(model, processor, row) for row in rows], atol=1e-5, rtol=0)


def test_a_lost_device_stops_the_run(model: Any, processor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*args: Any) -> Any:
        raise torch.AcceleratorError("device-side assert")

    monkeypatch.setattr("byorn.scoring.scorer.tokens_of", lost)
    with pytest.raises(torch.AcceleratorError):
        score_dataset(model, processor, to_dataset(tiny_rows(2)))


def test_a_response_without_a_token_has_no_score(model: Any, processor: Any) -> None:
    endless, rows = with_template(processor, NO_END), tiny_rows(3)
    rows[1] = replace(rows[1], response="")
    scores = score_dataset(model, endless, to_dataset(rows))
    assert (scores.reasons[1], scores.tokens[1]) == ("the response has no tokens", 0)
    assert np.isnan([scores.values[name][1] for name in scores.values]).all()
    assert scores.nll[0] == pytest.approx(nll_of(model, endless, rows[0]), abs=1e-5)
    alone = score_dataset(model, endless, to_dataset(rows[1:2]))
    assert np.isnan(alone.nll[0])
    assert alone.reasons[0]


def test_a_model_without_finite_likelihoods_says_so(processor: Any) -> None:
    sick = tiny_model(processor=processor)
    with torch.no_grad():
        sick.lm_head.weight[5] = float("nan")
    scores = score_dataset(sick, processor, to_dataset(tiny_rows(2)))
    assert scores.reasons == ["the model gave no finite likelihood"] * 2
    assert np.isnan(scores.nll).all()
    with pytest.raises(ConfigError, match="no row has a score; the first: the model gave no finite likelihood"):
        flag_percentile(scores)
