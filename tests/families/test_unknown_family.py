"""A family without a line of code about it is scored, sampled and trained, and byorn says what it assumed."""

import math

import numpy as np
import pytest
import torch
from family_rows import mixed_rows, nll_through_transformers

from byorn.data.dataset import to_dataset
from byorn.models.generate import generate
from byorn.models.inputs import training_rows
from byorn.models.lora import describe, lora_targets
from byorn.scoring.score import score_dataset
from byorn.testing.families import unknown
from byorn.training.config import ByornConfig
from byorn.training.trainer import ByornTrainer


@pytest.fixture(scope="module")
def stranger():
    torch.set_num_threads(1)
    model, processor = unknown.build()
    return model, processor, training_rows(mixed_rows(), processor)


def test_it_is_scored_as_transformers_scores_it(stranger):
    model, processor, rows = stranger
    scores = score_dataset(model, processor, to_dataset(rows), batch_size=len(rows))
    expected = [nll_through_transformers(model, processor, row, "</s>") for row in rows]
    assert scores.tokens.tolist() == [tokens for _, tokens in expected]
    np.testing.assert_allclose(scores.nll, [nll for nll, _ in expected], atol=1e-4)


def test_a_batch_is_answered_as_its_rows_alone(stranger):
    model, processor, rows = stranger
    samples = list(to_dataset(rows))
    alone = [generate(model, processor, [sample], max_new_tokens=4)[0] for sample in samples]
    assert generate(model, processor, samples, max_new_tokens=4) == alone


def test_lora_finds_its_decoder_by_structure_and_says_so(stranger):
    model, _, _ = stranger
    told = describe(model, lora_targets(model))
    assert told.startswith("LoRA on 14 linear layers of core.mind (found by structure: 'unknown_to_byorn'")


def test_it_learns_a_clean_and_a_flagged_step(stranger, tmp_path):
    _, processor, rows = stranger
    config = ByornConfig(
        str(tmp_path), per_device_train_batch_size=2, max_steps=2, logging_steps=1, learning_rate=0.05, use_cpu=True,
        bf16=False, report_to="none", disable_tqdm=True, max_response_tokens=4, save_strategy="no",
    )  # fmt: skip
    trainer = ByornTrainer(
        unknown.build()[0],
        config,
        train_dataset=to_dataset(rows[:4], [False, False, True, True]),
        processing_class=processor,
    )
    trainer.train()
    log = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert [entry["flagged_share"] for entry in log] == [0.0, 1.0]
    assert all(math.isfinite(entry["loss"]) and entry["grad_norm"] > 0 for entry in log)
    assert {
        name.split(".lora_")[0].split(".")[3] for name, _ in trainer.model.named_parameters() if ".lora_" in name
    } == {"mind"}
