"""What vLLM is asked: the prompt, the way to sample, and how it is started."""

import os

import torch
from vllm_trainers import rows_of, trainer_of

from byorn.models.generate import suppressed_ids
from byorn.models.template import end_ids
from byorn.testing import build_family
from byorn.training.engine.request import MOST_BIASED, vocabulary
from byorn.training.engine.start import _pixels


def test_the_prompt_is_that_of_transformers(engine, sharp_model, tmp_path):
    from byorn.models.generate import encode_prompts

    trainer = trainer_of(tmp_path, sharp_model)
    rows = rows_of(trainer, 1)
    trainer.source(trainer.model, rows, 0)
    (prompt, _), image = engine.made[0].calls[0][0], trainer.processing_class.image_token_id
    expanded = engine.made[0]._expanded(prompt)["input_ids"]
    assert torch.equal(expanded, encode_prompts(trainer.processing_class, rows)["input_ids"])
    assert prompt["prompt_token_ids"].count(image) == len(prompt["multi_modal_data"]["image"]) == 1


def test_how_vllm_is_asked_to_sample(engine, sharp_model, tmp_path):
    trainer = trainer_of(tmp_path, sharp_model, response_temperature=0.5, response_top_p=0.9, max_response_tokens=4)
    trainer.source(trainer.model, rows_of(trainer, 2), 0)
    first, second = (params for _, params in engine.made[0].calls[0])
    ends = end_ids(trainer.model, trainer.processing_class)
    assert (first.temperature, first.top_p, first.max_tokens, first.repetition_penalty) == (0.5, 0.9, 4, 1.0)
    assert first.stop_token_ids == ends
    assert set(first.logit_bias) == set(suppressed_ids(trainer.processing_class, ends))
    assert trainer.processing_class.image_token_id in first.logit_bias
    assert set(first.logit_bias.values()) == {-100.0}
    assert (first.logprobs, second.logprobs) == (0, None)


def wanting(layer, token):
    """Let an output head want one token before all others."""
    plain = layer.forward
    layer.forward = lambda hidden: plain(hidden).index_fill(-1, torch.tensor([token]), 50.0)


def test_special_tokens_are_never_sampled_even_where_the_model_wants_nothing_else(engine, sharp_model, tmp_path):
    trainer = trainer_of(tmp_path, sharp_model)
    image = trainer.processing_class.image_token_id
    trainer.source(trainer.model, rows_of(trainer, 1), 0)
    wanting(engine.made[0].base.lm_head, image)
    wanting(trainer.model.get_base_model().lm_head, image)
    trainer.source(trainer.model, rows_of(trainer, 4), 1)
    sampled = engine.made[0].sampled[1:]
    assert len(sampled) == 4
    assert not any(image in ids for ids in sampled)


def test_of_very_many_special_tokens_those_of_images_come_first(model, processor, monkeypatch):
    known = model.config.get_text_config().vocab_size
    monkeypatch.setattr("byorn.training.engine.request.MOST_BIASED", 4)
    monkeypatch.setattr("byorn.training.engine.request.suppressed_ids", lambda *given: [1, 2, 3, 4, 5, 6, known])
    assert processor.image_token_id == 5
    assert vocabulary(model, processor).never == [5, 1, 2, 3]
    monkeypatch.setattr("byorn.training.engine.request.MOST_BIASED", MOST_BIASED)
    assert vocabulary(model, processor).never == [5, 1, 2, 3, 4, 6]  # vLLM refuses to hear of what has no logit


def test_how_vllm_is_started(engine, sharp_model, tmp_path, capsys):
    trainer = trainer_of(tmp_path, sharp_model, response_engine_memory=0.4)
    assert not engine.made  # not before the first response is wanted
    trainer.source(trainer.model, rows_of(trainer, 1), 0)
    options = engine.made[0].options
    assert options["model"] == str(sharp_model)
    assert options["revision"] is None
    assert options["gpu_memory_utilization"] == 0.4
    assert options["dtype"] == "bfloat16"
    assert options["max_lora_rank"] == 16
    assert options["limit_mm_per_prompt"] == {"image": 1, "video": 0}
    assert options["trust_remote_code"] is False
    assert options["enable_prefix_caching"] is False
    assert os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"
    assert os.environ["VLLM_NO_USAGE_STATS"] == "1"  # vLLM would send what machine this is
    assert "responses by vLLM 0.33.0 in bfloat16, taking 40% of the memory" in capsys.readouterr().err


def test_the_user_s_limit_of_pixels_goes_along(processor):
    """vLLM makes a processor of its own, by the model's folder."""
    _, limiting = build_family("qwen2_5_vl")
    limiting.image_processor.size = {"shortest_edge": 784, "longest_edge": 1568}
    assert _pixels(limiting) == {"min_pixels": 784, "max_pixels": 1568}
    assert _pixels(processor) is None
