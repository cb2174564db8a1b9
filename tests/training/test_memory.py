"""Sampling needs no more memory than training: few rows at once, whatever the optimizer step holds, and nothing
kept.
"""

import pytest
import torch
from runner import build

from byorn.training.responses import EmaResponses
from byorn.training.sampling import Sampling

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
    source = EmaResponses(trainer.processing_class, Sampling(seed=42, max_new_tokens=8), batch_size=size)
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
