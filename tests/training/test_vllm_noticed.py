"""A vLLM that answers with another model, or to another prompt, is noticed, and its failures are one line."""

import pytest
import torch
from vllm_trainers import part, rows_of, trainer_of

from byorn.errors import ModelError, TrainingError
from byorn.training.ema import adapter_pairs


def test_an_engine_that_samples_special_tokens_all_the_same_is_noticed(engine, sharp_model, tmp_path):
    """An image token without an image would stop the forward pass that compares, and the next step of training."""
    trainer = trainer_of(tmp_path, sharp_model)
    engine.ignores_bias = True
    with pytest.raises(TrainingError, match=r"^step 3: vLLM samples special tokens .*row 'row-0'"):
        trainer.source(trainer.model, rows_of(trainer, 1), 2)


def test_an_engine_that_answers_with_the_base_model_is_noticed(engine, sharp_model, tmp_path):
    trainer = trainer_of(tmp_path, sharp_model)
    engine.ignores_adapters = True
    trainer.source(trainer.model, rows_of(trainer), 0)  # the average still is the base model
    part(trainer)
    said = r"^step 8: vLLM does not sample the model that it should: .*by 0\.0\d from those of the base model"
    with pytest.raises(TrainingError, match=said) as error:
        trainer.source(trainer.model, rows_of(trainer), 7)
    assert "response_engine='transformers'" in str(error.value)
    engine.ignores_adapters = False
    trainer.source(trainer.model, rows_of(trainer), 8)


def test_an_engine_with_an_earlier_average_is_noticed(engine, sharp_model, tmp_path):
    trainer = trainer_of(tmp_path, sharp_model)
    trainer.source(trainer.model, rows_of(trainer, 1), 0)
    earlier = trainer.source._versions.write(trainer.model)
    trainer.source._versions.write = lambda model: earlier
    part(trainer)
    with pytest.raises(TrainingError, match="nats a token"):
        trainer.source(trainer.model, rows_of(trainer, 1), 1)


def test_an_engine_that_reads_another_prompt_is_noticed(engine, sharp_model, tmp_path):
    trainer = trainer_of(tmp_path, sharp_model)
    engine.doubles_start = True
    with pytest.raises(TrainingError, match=r"reads row 'row-0' as (\d+) tokens, transformers as \d+"):
        trainer.source(trainer.model, rows_of(trainer, 1), 0)


def test_log_probabilities_that_are_no_numbers_are_noticed(engine, sharp_model, tmp_path):
    trainer = trainer_of(tmp_path, sharp_model)
    with torch.no_grad():
        adapter_pairs(trainer.model)[0][0].fill_(float("nan"))
    engine.ignores_adapters = True
    with pytest.raises(TrainingError, match="off by inf"):
        trainer.source(trainer.model, rows_of(trainer, 1), 0)


def test_failures_of_vllm_are_one_line(engine, sharp_model, tmp_path):
    trainer = trainer_of(tmp_path, sharp_model)
    engine.breaks = {"start": ValueError("No available memory for the cache blocks.\nTry more.")}
    with pytest.raises(ModelError, match=r"vLLM does not start: No available memory .*response_engine_memory"):
        trainer.source(trainer.model, rows_of(trainer, 1), 0)
    engine.breaks = {"generate": ValueError("The decoder prompt (length 9000) is longer than the maximum model length")}
    with pytest.raises(TrainingError, match=r"step 5: vLLM fails: The decoder prompt"):
        trainer.source(trainer.model, rows_of(trainer, 1), 4)
