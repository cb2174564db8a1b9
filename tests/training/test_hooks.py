"""The private methods of TRL, transformers and PEFT that byorn overrides or relies on, with the parameters it uses.

A red test here after an upgrade names the hook that moved.
"""

from dataclasses import fields
from inspect import signature

import pytest
from peft import PeftModel
from transformers import LogitsProcessor, Trainer, TrainerCallback
from trl import SFTTrainer
from trl.trainer import utils as head
from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling
from trl.trainer.utils import add_fused_lm_head

from byorn.data.dataset import to_dataset
from byorn.scoring.likelihood import build_collator, collated, scoring, tokens_of
from byorn.testing import tiny_model, tiny_processor, tiny_rows
from byorn.training.trainer import ByornTrainer

USED = [
    (SFTTrainer, "_set_signature_columns_if_needed", []),
    (SFTTrainer, "_get_train_sampler", ["train_dataset"]),
    (SFTTrainer, "get_batch_samples", ["epoch_iterator", "num_batches", "device"]),
    (SFTTrainer, "_get_num_items_in_batch", ["batch_samples", "device"]),
    (SFTTrainer, "_prepare_inputs", ["inputs"]),
    (SFTTrainer, "save_model", ["output_dir", "_internal_call"]),
    (SFTTrainer, "_load_from_checkpoint", ["resume_from_checkpoint", "model"]),
    (SFTTrainer, "compute_loss", ["model", "inputs", "return_outputs", "num_items_in_batch"]),
    (SFTTrainer, "add_callback", ["callback"]),
    (Trainer, "get_optimizer_cls_and_kwargs", ["args", "model"]),
    (TrainerCallback, "on_step_end", ["args", "state", "control"]),
    (TrainerCallback, "on_epoch_begin", ["args", "state", "control"]),
    (LogitsProcessor, "__call__", ["input_ids", "scores"]),
    (PeftModel, "set_adapter", ["adapter_name", "inference_mode"]),
    (PeftModel, "delete_adapter", ["adapter_name"]),
    (PeftModel, "add_adapter", ["adapter_name", "peft_config"]),
    (PeftModel, "save_pretrained", ["save_directory", "selected_adapters", "safe_serialization"]),
    (PeftModel, "disable_adapter", []),
]


@pytest.mark.parametrize(
    ("owner", "name", "parameters"), USED, ids=[f"{owner.__name__}.{name}" for owner, name, _ in USED]
)
def test_a_hook_still_takes_what_we_pass(owner, name, parameters):
    assert set(parameters) <= set(signature(getattr(owner, name)).parameters)


@pytest.mark.parametrize(
    "name",
    [
        "_set_signature_columns_if_needed",
        "_get_train_sampler",
        "get_batch_samples",
        "compute_loss",
        "save_model",
        "_load_from_checkpoint",
        "train",
        "evaluate",
        "get_test_dataloader",
        "push_to_hub",
        "create_model_card",
    ],
)
def test_an_override_has_the_parameters_of_what_it_overrides(name):
    ours, theirs = (list(signature(getattr(owner, name)).parameters) for owner in (ByornTrainer, SFTTrainer))
    assert ours == theirs


def test_the_trainer_overrides_these_hooks_and_no_others():
    private = {
        name for name in vars(ByornTrainer) if callable(getattr(ByornTrainer, name)) and hasattr(SFTTrainer, name)
    }
    assert private == {
        "__init__",
        "_set_signature_columns_if_needed",
        "_get_train_sampler",
        "get_batch_samples",
        "compute_loss",
        "save_model",
        "_load_from_checkpoint",
        "train",
        "evaluate",
        "get_test_dataloader",
        "push_to_hub",
        "create_model_card",
    }


def test_no_attribute_of_ours_hides_one_of_the_trainer(tmp_path):
    from runner import build

    ours = {"flagged", "flags", "scores", "rows", "tally", "average", "source", "sampler", "complete"}
    trainer = build(tmp_path)
    assert ours <= vars(trainer).keys()
    assert not [name for name in ours if hasattr(SFTTrainer, name)]


def test_the_vision_collator_has_the_fields_that_we_set():
    names = {field.name for field in fields(DataCollatorForVisionLanguageModeling)}
    assert {"processor", "max_length", "completion_only_loss"} <= names


def test_the_fused_head_takes_a_model_and_a_type():
    assert {"model", "cast_lm_head_to_fp32", "outputs"} <= set(signature(add_fused_lm_head).parameters)


def test_the_fused_head_gets_the_tokens_of_responses_alone(monkeypatch: pytest.MonkeyPatch):
    """They are chosen where the backbone ends, by the name under which TRL calls it."""
    seen: list[int] = []
    kernel = head._ChunkedLogProbFunction.forward
    monkeypatch.setattr(
        head._ChunkedLogProbFunction, "forward", lambda *given: (seen.append(len(given[1])), kernel(*given))[1]
    )
    model, processor = tiny_model(), tiny_processor()
    batch = collated(build_collator(processor), list(to_dataset(tiny_rows(3))))
    with scoring(model):
        tokens_of(model, batch, [])
    assert seen == [int((batch["labels"][:, 1:] != -100).sum())]


def test_counting_tokens_still_happens_where_batches_are_collected():
    """Responses are replaced before `Trainer.get_batch_samples` runs; counting elsewhere would count the old labels."""
    assert "_get_num_items_in_batch" in Trainer.get_batch_samples.__code__.co_names
