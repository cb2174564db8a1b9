"""Sampling needs no more memory than training: few rows at once, whatever the optimiser step holds, and nothing kept."""

import gc

import pytest
import torch
from runner import build
from trl import SFTConfig, SFTTrainer

from byorn.models.lora import default_lora
from byorn.testing import tiny_model, tiny_processor
from byorn.training.responses import EmaResponses

ALL = [True] * 16


def sizes_of_prompts(trainer):
    """How many rows each prompt that is read from here on has; a prompt is more than one token long."""
    sizes = []

    def note(module, args, kwargs):
        ids = kwargs.get("input_ids")
        if ids is not None and ids.shape[1] > 1 and not module.training:
            sizes.append(len(ids))

    trainer.model.get_base_model().register_forward_pre_hook(note, with_kwargs=True)
    return sizes


@pytest.mark.parametrize(
    ("asked", "training", "expected"), [(3, 2, [3, 3, 2]), (None, 2, [4, 4]), (None, 8, [8, 8]), (100, 2, [8])]
)
def test_a_step_of_many_rows_is_sampled_in_parts(tmp_path, asked, training, expected):
    accumulation = 16 // training if training == 8 else 4
    trainer = build(
        tmp_path, flagged=ALL, max_steps=1, per_device_train_batch_size=training,
        gradient_accumulation_steps=accumulation, response_batch_size=asked,
    )  # fmt: skip
    sizes = sizes_of_prompts(trainer)
    trainer.train()
    assert sizes == expected


@pytest.fixture(scope="module")
def trainer(tmp_path_factory):
    return build(tmp_path_factory.mktemp("memory"), flagged=ALL)


def sampled(trainer, rows, size):
    source = EmaResponses(trainer.processing_class, seed=42, max_new_tokens=8, batch_size=size)
    return source(trainer.model, rows, 0)


def test_the_parts_change_no_response(trainer):
    rows = list(trainer.train_dataset.select(range(10)))
    whole = sampled(trainer, rows, 10)
    assert len({response.text for response in whole}) == 10
    assert [sampled(trainer, rows, size) for size in (1, 4)] == [whole, whole]


@pytest.mark.parametrize("room", [3, 1, 0])
def test_a_part_that_does_not_fit_into_memory_is_halved_down_to_one_row(trainer, room):
    rows = list(trainer.train_dataset.select(range(7)))
    whole = sampled(trainer, rows, 7)

    def small_device(module, args, kwargs):
        if len(kwargs["inputs_embeds"]) > room:
            raise torch.OutOfMemoryError("out of memory")

    decoder = trainer.model.get_base_model().model.language_model
    hook = decoder.register_forward_pre_hook(small_device, with_kwargs=True)
    try:
        if room:
            assert sampled(trainer, rows, 7) == whole
        else:
            with pytest.raises(torch.OutOfMemoryError):
                sampled(trainer, rows, 7)
    finally:
        hook.remove()
    assert trainer.model.active_adapter == "default"


def peak_bytes(trainer):
    """Weights and whatever else lives at the worst moment of a run, as PyTorch allocates it."""
    weights = sum(value.nbytes for value in trainer.model.parameters())
    gc.collect()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        trainer.train()
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    live = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    return weights + peak


def test_the_peak_is_within_1_15_of_plain_fine_tuning_on_the_same_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "trl.trainer.utils._CHUNKED_LOGPROB_CHUNK_SIZE", 256
    )  # tiles of a large vocabulary drown the rest
    shared = {
        "max_steps": 3,
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 4,
        "max_response_tokens": 12,
    }
    ours = build(tmp_path, peft_config=default_lora(tiny_model(), rank=4), gradient_checkpointing=True, **shared)
    rows = ours.train_dataset.select_columns(["prompt", "completion", "images"])
    arguments = {
        name: getattr(ours.args, name) for name in ("use_cpu", "bf16", "report_to", "learning_rate", "save_strategy")
    }
    del shared["max_response_tokens"]
    plain = SFTTrainer(
        tiny_model(), SFTConfig(str(tmp_path), max_length=None, gradient_checkpointing=True, **arguments, **shared),
        train_dataset=rows, processing_class=tiny_processor(), peft_config=default_lora(tiny_model(), rank=4),
    )  # fmt: skip
    ratio = peak_bytes(ours) / peak_bytes(plain)
    assert ours.counts["replaced"] == 8
    assert 0.8 < ratio < 1.15
