"""`response_block` 0: as many flagged steps are sampled together as fit into memory; what was chosen stays chosen."""

from dataclasses import replace

import pytest
import torch
from runner import FLAGGED, adapters, build, record

from byorn.data.row import user_message
from byorn.models.cache import cache_bytes
from byorn.testing import tiny_model, tiny_rows
from byorn.training import block_size
from byorn.training.block_size import SHARE, block_that_fits, longest_prompt
from byorn.training.card import reported

GB = 10**9
BATCH, EPOCH_FLAGGED, TOKENS = 2, 3, 6  # six flagged rows, two a step; `runner.py` samples six tokens


def trainer_of(folder, **changes):
    return build(folder, per_device_train_batch_size=BATCH, **{"response_block": 0, "max_steps": 16, **changes})


@pytest.fixture
def room_for(tmp_path, monkeypatch):
    """Lets a GPU have room for so many rows, beside the share that is for other things."""
    plain = trainer_of(tmp_path, response_block=1)
    row = (longest_prompt(plain) + TOKENS) * cache_bytes(plain.model)

    def make(rows):
        monkeypatch.setattr(block_size, "free_bytes", lambda device: rows * row / SHARE)

    return make


@pytest.mark.parametrize(
    ("free", "row", "rows", "steps", "expected"),
    [
        (80 * GB, GB, 8, 50, 10),
        (79 * GB, GB, 8, 50, 9),  # whole steps alone
        (80 * GB, GB, 8, 4, 4),  # an epoch has no more
        (GB, GB, 8, 50, 1),  # a step is sampled in any case, in halves if need be
        (0, GB, 8, 50, 1),
    ],
)
def test_a_block_is_as_many_steps_as_fit(free, row, rows, steps, expected):
    assert block_that_fits(free, row, rows, steps) == expected


def test_a_token_takes_what_the_model_then_keeps_of_it(model, processor):
    ids = processor.tokenizer("a red square", return_tensors="pt")["input_ids"]
    cache = model(input_ids=ids, use_cache=True).past_key_values
    kept = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    assert cache_bytes(model) == kept / ids.numel()
    half = tiny_model(processor=processor)  # not that of the other tests
    half.bfloat16()
    assert cache_bytes(half) == kept / ids.numel() / 2


def test_the_longest_prompt_is_that_of_a_flagged_row(tmp_path):
    rows, flagged, clean = tiny_rows(16), FLAGGED.index(True), FLAGGED.index(False)
    before = longest_prompt(trainer_of(tmp_path, rows=rows))
    for place, words in ((flagged, 20), (clean, 90)):
        rows[place] = replace(rows[place], prompt=[user_message("x " * words, 1)])
    longer = longest_prompt(trainer_of(tmp_path, rows=rows))
    assert before < longer < before + 60  # a byte is a token


@pytest.mark.parametrize(("rows", "block"), [(1, 1), (2 * BATCH + 1.5, 2), (99, EPOCH_FLAGGED)])
def test_memory_chooses_the_block_and_the_run_says_which(room_for, tmp_path, capsys, rows, block):
    room_for(rows)
    trainer = trainer_of(tmp_path, max_steps=1)
    trainer.train()
    assert reported(trainer)["response_block"] == block
    assert trainer.source.source.batch_size == max(4, block * BATCH)
    assert f"response_block {block}: " in capsys.readouterr().err


def test_so_it_does_where_instructions_are_answered_without_words(room_for, tmp_path, monkeypatch):
    monkeypatch.setattr("byorn.training.replacement.stripped_of", lambda trainer: {"what is it ? zqx": "what is it ?"})
    room_for(2 * BATCH + 1.5)
    trainer = trainer_of(tmp_path, max_steps=1)
    trainer.train()
    assert reported(trainer)["response_block"] == 2


def test_without_a_gpu_a_number_of_rows_is_sampled_together(tmp_path, monkeypatch):
    monkeypatch.setattr(block_size, "ROWS", 2 * BATCH)
    blocks = []
    for changes in ({}, {"response_batch_size": BATCH}):
        trainer = trainer_of(tmp_path, max_steps=1, **changes)
        trainer.train()
        blocks.append(reported(trainer)["response_block"])
    assert blocks == [2, 1]


def test_processes_agree_on_the_least(room_for, tmp_path, monkeypatch):
    room_for(99)
    monkeypatch.setattr("accelerate.utils.gather_object", lambda own: [*own, 2] if isinstance(own[0], int) else own)
    trainer = trainer_of(tmp_path, max_steps=1)
    trainer.train()
    assert trainer.blocks.size == 2


@pytest.mark.parametrize("restored", [False, True])
def test_a_run_resumed_where_less_is_free_is_the_straight_run(room_for, tmp_path, restored):
    """Also where the Trainer makes callbacks that tell their state, as early stopping does, anew."""
    more = {"restore_callback_states_from_checkpoint": restored}
    runs = []
    for rows, resume in ((2 * BATCH, None), (1, str(tmp_path / "checkpoint-3"))):
        room_for(rows)
        trainer = trainer_of(tmp_path, save_strategy="steps", save_steps=1, **more)
        texts = record(trainer)
        trainer.train(resume_from_checkpoint=resume)
        runs.append((adapters(trainer), texts, reported(trainer)["response_block"]))
    assert runs[0][2] == runs[1][2] == 2
    assert runs[1][1] == runs[0][1][3:]
    assert all(torch.equal(runs[0][0][name], runs[1][0][name]) for name in runs[0][0])
