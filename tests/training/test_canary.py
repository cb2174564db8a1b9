"""The response of a flagged row never reaches the loss, whatever the sampler does."""

from dataclasses import replace

import pytest
import torch
from runner import FLAGGED, ROWS, adapters, build

from byorn.testing import tiny_processor, tiny_rows

CANARY = "ZQXJ"


def poisoned(response, flagged=FLAGGED):
    return [
        replace(row, response=response) if flag else row for row, flag in zip(tiny_rows(ROWS), flagged, strict=True)
    ]


def watch(trainer):
    """Every tensor of token ids that the collator builds or the loss sees."""
    seen, loss = [], trainer.compute_loss
    owner, name = (
        (trainer.data_collator, "clean") if hasattr(trainer.data_collator, "clean") else (trainer, "data_collator")
    )
    collate = getattr(owner, name)

    def collating(rows):
        batch = collate(rows)
        seen.extend([batch["input_ids"].clone(), batch["labels"].clone()])
        return batch

    def computing(model, inputs, *args, **kwargs):
        seen.extend([inputs["input_ids"].clone(), inputs["labels"].clone()])
        return loss(model, inputs, *args, **kwargs)

    setattr(owner, name, collating)
    trainer.compute_loss = computing
    return seen


def holds_canary(seen):
    canary = tiny_processor().tokenizer(CANARY, add_special_tokens=False)["input_ids"]
    windows = [tensor.unfold(1, len(canary), 1) for tensor in seen if tensor.shape[1] >= len(canary)]
    return any((window == torch.tensor(canary)).all(-1).any().item() for window in windows)


@pytest.mark.parametrize("grouping", [(4, 1), (2, 2)])
def test_no_flagged_response_is_collated_or_learned(tmp_path, grouping):
    batch, accumulation = grouping
    trainer = build(
        tmp_path,
        rows=poisoned(CANARY),
        max_response_tokens=None,
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=accumulation,
    )
    seen = watch(trainer)
    trainer.train()
    assert trainer.tally.counts["replaced"] > 0
    assert len(seen) == 4 * 10 * accumulation
    assert not holds_canary(seen)


def test_the_watch_sees_the_same_response_where_it_is_trusted(tmp_path):
    trainer = build(tmp_path, rows=poisoned(CANARY), flagged=[False] * ROWS)
    seen = watch(trainer)
    trainer.train()
    assert holds_canary(seen)


def test_a_sampler_that_mixes_the_kinds_does_not_leak_either(tmp_path):
    trainer = build(
        tmp_path, rows=poisoned(CANARY), max_steps=4, per_device_train_batch_size=2, gradient_accumulation_steps=2
    )
    trainer._get_train_sampler = lambda dataset=None: torch.utils.data.SequentialSampler(trainer.train_dataset)
    seen = watch(trainer)
    trainer.train()
    assert trainer.tally.counts["replaced"] == sum(FLAGGED)
    assert not holds_canary(seen)


def test_clean_rows_of_a_mixed_batch_keep_their_own_response(tmp_path):
    trusted = [not flag for flag in FLAGGED]
    trainer = build(tmp_path, rows=poisoned(CANARY, trusted), max_steps=4)
    trainer._get_train_sampler = lambda dataset=None: torch.utils.data.SequentialSampler(trainer.train_dataset)
    seen = watch(trainer)
    trainer.train()
    canary = tiny_processor().tokenizer(CANARY, add_special_tokens=False)["input_ids"]
    labels = [row.tolist() for tensor in seen[3::4] for row in tensor]  # collated ids, labels, then learned ids, labels
    kept = [[token for token in row if token != -100][: len(canary)] == canary for row in labels]
    assert sum(kept) == sum(trusted)


def test_no_bit_of_the_weights_depends_on_the_flagged_responses(tmp_path):
    runs = []
    for response in ("a", "I am a much longer response about nothing at all."):
        trainer = build(tmp_path / str(len(response)), rows=poisoned(response), max_response_tokens=None)
        trainer.train()
        runs.append(adapters(trainer))
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])


def test_evaluation_rows_keep_their_own_responses_even_if_flagged(tmp_path):
    from byorn.data.dataset import to_dataset

    held_out = to_dataset(poisoned(CANARY), FLAGGED)
    trainer = build(tmp_path, eval_dataset=held_out, max_steps=2)
    trainer.train()
    seen = watch(trainer)
    metrics = trainer.evaluate()
    assert metrics["eval_loss"] > 0
    assert holds_canary(seen)


def test_loader_processes_do_not_change_the_run(tmp_path):
    runs = []
    for workers in (0, 1):
        trainer = build(tmp_path / str(workers), max_steps=3, dataloader_num_workers=workers)
        trainer.train()
        runs.append(adapters(trainer))
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])


def test_the_collator_can_be_sent_to_spawned_loader_processes(tmp_path):
    import pickle

    trainer = build(tmp_path)
    rows = [trainer.train_dataset[index] for index in (0, 3)]
    batch = pickle.loads(pickle.dumps(trainer.data_collator))(rows)
    assert ["completion" in row for row in batch["rows"]] == [False, False]
