"""Activation checkpointing: training recomputes, sampling between the steps does not, and nothing else changes."""

import logging
import warnings

import pytest
import torch
from runner import FLAGGED, ROWS, adapters, losses, settings
from transformers.utils import logging as transformers_logging

from byorn.data.dataset import to_dataset
from byorn.models.inputs import training_rows
from byorn.models.load import load_model, load_processor
from byorn.models.lora import default_lora
from byorn.pipeline.build import build_config
from byorn.pipeline.settings.train import TrainSpec
from byorn.testing import build_family, tiny_rows
from byorn.training.trainer import ByornTrainer

FAMILIES = ("embedded", "qwen2_5_vl")


def build(folder, family, dropout=0.0, **changes):
    loaded = (
        (load_model(family, device="cpu"), load_processor(family)) if family == "embedded" else build_family(family)
    )
    model, processor = loaded
    rows = to_dataset(training_rows(tiny_rows(ROWS), processor), FLAGGED)
    arguments = settings(folder, max_steps=2, learning_rate=1e-3, per_device_train_batch_size=2, **changes)
    lora = default_lora(model, rank=4, dropout=dropout)
    return ByornTrainer(model, arguments, train_dataset=rows, processing_class=processor, peft_config=lora)


def layer_calls(trainer):
    """(training?, tokens) of each pass through the first decoder layer from here on, the recomputing ones too."""
    calls = []
    decoder = trainer.model.get_base_model().get_decoder()
    decoder = getattr(decoder, "language_model", decoder)
    decoder.layers[0].mlp.register_forward_pre_hook(
        lambda module, args: calls.append((module.training, args[0].shape[1]))
    )
    return calls


class Heard(logging.Handler):
    def __init__(self):
        super().__init__()
        self.messages = []

    def emit(self, entry):
        self.messages.append(entry.getMessage())


@pytest.fixture
def heard():
    """What transformers and torch have to say, once more if they said it before."""
    logger, handler = transformers_logging.get_logger("transformers"), Heard()
    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_warning()
    transformers_logging.warning_once.cache_clear()
    logger.addHandler(handler)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield lambda: [*handler.messages, *(str(warning.message) for warning in caught)]
    logger.removeHandler(handler)
    transformers_logging.set_verbosity(before)


@pytest.mark.parametrize("family", FAMILIES)
def test_steps_recompute_and_samples_use_the_cache_without_a_word(tmp_path, family, heard):
    trainer = build(tmp_path, family, activation_checkpointing=True)
    calls = layer_calls(trainer)
    trainer.train()
    trained, drawn = ([tokens for training, tokens in calls if training is kind] for kind in (True, False))
    assert trainer.tally.counts["replaced"] == 2
    assert drawn[0] > 10
    assert set(drawn[1:]) == {1}
    assert len(trained) == 4  # two steps, each forward and once more on the way back, the one after sampling too
    assert not [text for text in heard() if "caching" in text.lower() or "cache" in text or "requires_grad" in text]


@pytest.mark.parametrize("family", FAMILIES)
def test_responses_losses_and_adapters_are_those_without_checkpointing(tmp_path, family):
    runs = []
    for checkpointing in (True, False):
        trainer = build(tmp_path / str(checkpointing), family, activation_checkpointing=checkpointing)
        responses, sample = [], trainer.source
        trainer.source = lambda *args, responses=responses, sample=sample: (
            responses.append(sample(*args)) or responses[-1]
        )
        trainer.train()
        runs.append((responses, losses(trainer), adapters(trainer)))
    (responses, loss, weights), (plain_responses, plain_loss, plain_weights) = runs
    assert responses == plain_responses
    assert len(responses) == 1
    assert loss == pytest.approx(plain_loss, rel=1e-5)
    for name, value in weights.items():
        torch.testing.assert_close(value, plain_weights[name], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["activation_checkpointing", "gradient_checkpointing"])
@pytest.mark.parametrize("wanted", [True, False])
def test_byorn_train_takes_the_new_name_and_the_old_one(tmp_path, name, wanted):
    """Whatever the default of TRL and of the machine is; the new name wins in transformers where both are given."""
    config = build_config(TrainSpec(arguments={name: wanted}), tmp_path)
    assert (config.activation_checkpointing, config.gradient_checkpointing) == (wanted, wanted)


def test_lora_dropout_is_off_while_sampling_and_on_while_training(tmp_path):
    drawn, logits = [], []
    for dropout in (0.0, 0.9):
        trainer = build(tmp_path / str(dropout), "qwen2_5_vl", dropout=dropout, activation_checkpointing=True)
        generator = torch.Generator().manual_seed(0)
        for value in adapters_in_place(trainer):
            value.data.normal_(generator=generator)
        rows = list(trainer.train_dataset.select(range(4)))
        model = trainer.model.train()
        drawn.append(trainer.source(model, rows, 0))
        batch = trainer.data_collator.encode([{**row} for row in rows])
        logits.append(model(**batch).logits)
    assert drawn[0] == drawn[1]
    assert not torch.allclose(*logits)


def adapters_in_place(trainer):
    return [value for name, value in trainer.model.named_parameters() if "lora_" in name]
