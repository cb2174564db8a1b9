"""A collator for processors that need the whole row learns what TRL's would: the response and its end, nothing else."""

from typing import Any

import numpy as np
import pytest
import torch

from byorn.data.dataset import to_dataset
from byorn.errors import DataError
from byorn.models.collate import WholeRowCollator, encodes_responses
from byorn.scoring.likelihood import build_collator
from byorn.scoring.score import score_dataset
from byorn.testing import FAMILIES, build_family, tiny_rows


@pytest.mark.parametrize("name", FAMILIES)
def test_only_mllama_and_paligemma_need_the_whole_row(name: str) -> None:
    assert encodes_responses(build_family(name)[1]) == (name not in ("mllama", "paligemma"))


def test_it_equals_trl_s_where_both_work(processor: Any) -> None:
    rows = [dict(row) for images in (0, 1, 2) for row in to_dataset(tiny_rows(3, images))]
    whole, trl = WholeRowCollator(processor)(rows), build_collator(processor)(rows)
    assert whole.keys() == trl.keys()
    assert all(torch.equal(whole[name], trl[name]) for name in trl)


@pytest.mark.parametrize("name", ["mllama", "paligemma"])
def test_the_labels_are_the_response_and_its_end(name: str) -> None:
    _, processor = build_family(name)
    rows = tiny_rows(3)
    batch = WholeRowCollator(processor)([dict(row) for row in to_dataset(rows)])
    learned = [processor.tokenizer.decode(ids[ids != -100]) for ids in batch["labels"]]
    assert learned == [row.response + processor.tokenizer.eos_token for row in rows]
    starts = (batch["input_ids"] == processor.tokenizer.bos_token_id).sum(dim=1)
    assert starts.tolist() == [1, 1, 1]


def test_mllama_s_response_sees_the_image() -> None:
    _, processor = build_family("mllama")
    batch = WholeRowCollator(processor)([dict(row) for row in to_dataset(tiny_rows(2))])
    assert batch["cross_attention_mask"].shape[:2] == batch["input_ids"].shape
    assert batch["cross_attention_mask"][batch["labels"] != -100].flatten(1).any(dim=1).all()


def test_mllama_s_rows_with_unequal_numbers_of_images_are_not_scored_side_by_side() -> None:
    model, processor = build_family("mllama")
    rows = to_dataset([*tiny_rows(2, images=1), *tiny_rows(1, images=2)])
    with pytest.raises(DataError, match="Mllama needs the same number in all rows of a batch"):
        WholeRowCollator(processor)([dict(row) for row in rows])
    together, alone = (score_dataset(model, processor, rows, batch_size=size).nll for size in (3, 1))
    assert np.allclose(together, alone, atol=1e-5)


def test_the_rows_stay_as_they_were() -> None:
    _, processor = build_family("paligemma")
    rows = [dict(row) for row in to_dataset(tiny_rows(2))]
    before = [{**row, "prompt": [dict(message) for message in row["prompt"]]} for row in rows]
    WholeRowCollator(processor)(rows)
    assert rows == before
