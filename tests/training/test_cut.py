"""`max_length` cuts rows where TRL's collator ends them; what then has no response left is told before anything is
scored.
"""

import pytest
from runner import ROWS, build

from byorn.data.dataset import to_dataset
from byorn.errors import ConfigError
from byorn.scoring.likelihood import build_collator
from byorn.testing import tiny_processor, tiny_rows
from byorn.testing.families import build_family
from byorn.training.cut import require_responses


def kept(dataset, processor, limit):
    """Rows of which the collator leaves something to learn."""
    collator = build_collator(processor)
    collator.max_length = limit
    return sum(bool((collator([row])["labels"] != -100).any()) for row in dataset)


def test_a_limit_that_leaves_no_response_is_refused_before_rows_are_scored(tmp_path, monkeypatch):
    monkeypatch.setattr("byorn.training.trainer.decide", lambda *given: pytest.fail("rows are scored"))
    with pytest.raises(ConfigError, match=r"^max_length: 30 cuts the response of every row away, .* take 30 tokens"):
        build(tmp_path, rows=tiny_rows(ROWS)[::3], flagged=[False] * 6, max_length=30)


@pytest.mark.parametrize("limit", [31, 32, 33])
def test_rows_that_lose_their_response_are_counted(limit, caplog):
    dataset, processor = to_dataset(tiny_rows(6)), tiny_processor()
    lost = 6 - kept(dataset, processor, limit)
    require_responses(dataset, processor, limit)
    assert lost == (33 - limit) * 2
    assert (f"the whole response of {lost} of 6 rows" in caplog.text) is bool(lost)


@pytest.mark.parametrize("family", ["qwen2_5_vl", "idefics3", "gemma3"])
def test_no_row_is_said_to_lose_what_it_keeps(family, caplog):
    _, processor = build_family(family)
    dataset = to_dataset(tiny_rows(3))
    limit = next(limit for limit in range(20, 80) if kept(dataset, processor, limit))
    require_responses(dataset, processor, limit)
    lost = int(caplog.text.partition("response of ")[2].partition(" of")[0] or 0)
    assert lost <= 3 - kept(dataset, processor, limit)


def test_images_that_cannot_be_read_are_no_matter_of_length():
    dataset = to_dataset(tiny_rows(2)).map(lambda row: {"images": [{"bytes": b"no image", "path": None}]})
    require_responses(dataset, tiny_processor(), 5)
