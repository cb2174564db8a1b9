"""Responses by vLLM, with a stand-in that runs the tiny model: which weights it gets, what it is asked, and whether
anybody notices when it answers with others.
"""

import gc
import os
import random
from typing import Any

import fake_vllm
import numpy as np
import pytest
import torch
from runner import EPOCH, build, losses
from transformers import AutoModelForImageTextToText

from byorn.errors import ModelError, TrainingError
from byorn.models.generate import read_response, suppressed_ids
from byorn.models.template import end_ids
from byorn.testing import build_family, tiny_model, tiny_processor
from byorn.training.ema import adapter_pairs, update_ema
from byorn.training.engine.probe import TOLERANCE
from byorn.training.engine.request import MOST_BIASED, vocabulary
from byorn.training.engine.source import VllmResponses
from byorn.training.engine.start import _pixels
from byorn.training.noise import stream_seed
from byorn.training.sampling import Sampling


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The tiny model with larger logits: as it is it finds all tokens about as likely, whatever its adapter says."""
    folder = tmp_path_factory.mktemp("model")
    processor = tiny_processor()
    model: Any = tiny_model(processor=processor)
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(10)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture
def engine(monkeypatch):
    return fake_vllm.install(monkeypatch)


def trainer_of(folder, place, **changes):
    """A trainer of the tiny model as it lies in a folder, whose responses vLLM samples."""
    model = AutoModelForImageTextToText.from_pretrained(place)
    return build(folder, model=model, response_engine="vllm", **changes)


def part(trainer):
    """Move the average away from the base model, and the student away from both."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for average, student in zip(*adapter_pairs(trainer.model), strict=True):
            average.copy_(torch.randn(average.shape, generator=generator) * 0.3)
            student.copy_(torch.randn(student.shape, generator=generator) * 0.3)


def rows_of(trainer, count=3):
    return list(trainer.train_dataset.select(range(count)))


def average_of(trainer):
    """By the names that PEFT has for it on disk."""
    return {name.replace(".ema.", "."): value for name, value in trainer.model.named_parameters() if ".ema." in name}


def test_the_engine_gets_the_average_and_not_the_student(engine, place, tmp_path):
    trainer = trainer_of(tmp_path, place)
    part(trainer)
    trainer.source(trainer.model, rows_of(trainer), 0)
    (loaded,) = engine.made[0].loaded
    average = average_of(trainer)
    assert loaded.keys() == average.keys()
    assert all(torch.equal(loaded[name], average[name].bfloat16()) for name in loaded)
    student = {name.replace(".ema.", ".default."): name for name in dict(trainer.model.named_parameters())}
    assert not any(
        torch.equal(loaded[own.replace(".ema.", ".")], trainer.model.get_parameter(name).bfloat16())
        for name, own in student.items()
        if ".ema." in own
    )


def test_names_and_numbers_never_come_again_and_old_folders_go(engine, place, tmp_path):
    trainer = trainer_of(tmp_path, place)
    seen = []
    for step in (0, 1, 1, 5):  # a step may be asked for again
        trainer.source(trainer.model, rows_of(trainer, 1), step)
        seen.append(engine.made[0].requests[-1].path)
        assert [path.name for path in seen[-1].parent.iterdir()] == [seen[-1].name]
    requests = engine.made[0].requests
    assert len({request.name for request in requests}) == len({request.number for request in requests}) == 4
    assert len(engine.made) == 1
    root = seen[0].parent
    trainer.source = None
    del trainer
    gc.collect()
    assert not root.exists()


def test_responses_come_in_order_and_read_as_those_of_transformers(engine, place, tmp_path):
    trainer = trainer_of(tmp_path, place)
    part(trainer)
    rows = rows_of(trainer, 4)
    responses = trainer.source(trainer.model, rows, 3)
    ends, asked = end_ids(trainer.model, trainer.processing_class), engine.made[0].calls[0]
    assert [params.seed for _, params in asked] == [stream_seed(42, 3, row["id"], row["turn"]) for row in rows]
    one_by_one = [trainer.source(trainer.model, [row], 3)[0] for row in rows]
    assert responses == one_by_one
    assert len({response.text for response in responses}) > 1
    tokenizer = trainer.processing_class.tokenizer
    assert read_response(tokenizer, [*tokenizer("blue")["input_ids"], ends[0]], ends, "").text == "blue"
    assert trainer.source(trainer.model, [], 3) == []


def test_the_prompt_is_that_of_transformers(engine, place, tmp_path):
    from byorn.models.generate import encode_prompts

    trainer = trainer_of(tmp_path, place)
    rows = rows_of(trainer, 1)
    trainer.source(trainer.model, rows, 0)
    (prompt, _), image = engine.made[0].calls[0][0], trainer.processing_class.image_token_id
    expanded = engine.made[0]._expanded(prompt)["input_ids"]
    assert torch.equal(expanded, encode_prompts(trainer.processing_class, rows)["input_ids"])
    assert prompt["prompt_token_ids"].count(image) == len(prompt["multi_modal_data"]["image"]) == 1


def test_how_vllm_is_asked_to_sample(engine, place, tmp_path):
    trainer = trainer_of(tmp_path, place, response_temperature=0.5, response_top_p=0.9, max_response_tokens=4)
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


def test_special_tokens_are_never_sampled_even_where_the_model_wants_nothing_else(engine, place, tmp_path):
    trainer = trainer_of(tmp_path, place)
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


def test_an_engine_that_samples_special_tokens_all_the_same_is_noticed(engine, place, tmp_path):
    """An image token without an image would stop the forward pass that compares, and the next step of training."""
    trainer = trainer_of(tmp_path, place)
    engine.ignores_bias = True
    with pytest.raises(TrainingError, match=r"^step 3: vLLM samples special tokens .*row 'row-0'"):
        trainer.source(trainer.model, rows_of(trainer, 1), 2)


def test_an_engine_that_answers_with_the_base_model_is_noticed(engine, place, tmp_path):
    trainer = trainer_of(tmp_path, place)
    engine.ignores_adapters = True
    trainer.source(trainer.model, rows_of(trainer), 0)  # the average still is the base model
    part(trainer)
    said = r"^step 8: vLLM does not sample the averaged model: .*by 0\.0\d from those of the base model"
    with pytest.raises(TrainingError, match=said) as error:
        trainer.source(trainer.model, rows_of(trainer), 7)
    assert "response_engine='transformers'" in str(error.value)
    engine.ignores_adapters = False
    trainer.source(trainer.model, rows_of(trainer), 8)


def test_an_engine_with_an_earlier_average_is_noticed(engine, place, tmp_path):
    trainer = trainer_of(tmp_path, place)
    trainer.source(trainer.model, rows_of(trainer, 1), 0)
    earlier = trainer.source._versions.write(trainer.model)
    trainer.source._versions.write = lambda model: earlier
    part(trainer)
    with pytest.raises(TrainingError, match="nats a token"):
        trainer.source(trainer.model, rows_of(trainer, 1), 1)


def test_an_engine_that_reads_another_prompt_is_noticed(engine, place, tmp_path):
    trainer = trainer_of(tmp_path, place)
    engine.doubles_start = True
    with pytest.raises(TrainingError, match=r"reads row 'row-0' as (\d+) tokens, transformers as \d+"):
        trainer.source(trainer.model, rows_of(trainer, 1), 0)


def test_log_probabilities_that_are_no_numbers_are_noticed(engine, place, tmp_path):
    trainer = trainer_of(tmp_path, place)
    with torch.no_grad():
        adapter_pairs(trainer.model)[0][0].fill_(float("nan"))
    engine.ignores_adapters = True
    with pytest.raises(TrainingError, match="off by inf"):
        trainer.source(trainer.model, rows_of(trainer, 1), 0)


def test_a_training_runs_through(engine, place, tmp_path):
    trainer = trainer_of(tmp_path, place, max_steps=EPOCH)
    trainer.train()
    steps = [entry for entry in trainer.state.log_history if "engine_difference" in entry]
    assert len(steps) == len(engine.made[0].requests) == 2  # flagged steps of an epoch
    assert all(0 <= entry["engine_difference"] < TOLERANCE for entry in steps)
    assert len(losses(trainer)) == EPOCH
    assert np.isfinite(losses(trainer)).all()
    assert not torch.equal(*(next(iter(loaded.values())) for loaded in engine.made[0].loaded))


def test_a_training_in_blocks_asks_once_a_block(engine, place, tmp_path):
    trainer = trainer_of(tmp_path, place, max_steps=2 * EPOCH, response_block=2)
    trainer.train()
    assert len(engine.made[0].requests) == 2
    assert [len(call) for call in engine.made[0].calls] == [6, 6]
    assert np.isfinite(losses(trainer)).all()


def test_a_run_goes_on_with_an_engine_of_its_own(engine, place, tmp_path):
    run = {"max_steps": 2 * EPOCH, "save_strategy": "steps", "save_steps": EPOCH, "response_block": 2}
    trainer_of(tmp_path, place, **run).train()
    resumed = trainer_of(tmp_path, place, **run)
    resumed.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{EPOCH}"))
    assert resumed.state.global_step == 2 * EPOCH
    assert len(engine.made) == 2


def test_how_vllm_is_started(engine, place, tmp_path, capsys):
    trainer = trainer_of(tmp_path, place, response_engine_memory=0.4)
    assert not engine.made  # not before the first response is wanted
    trainer.source(trainer.model, rows_of(trainer, 1), 0)
    options = engine.made[0].options
    assert options["model"] == str(place)
    assert options["revision"] is None
    assert options["gpu_memory_utilization"] == 0.4
    assert options["dtype"] == "bfloat16"
    assert options["max_lora_rank"] == 16
    assert options["limit_mm_per_prompt"] == {"image": 1, "video": 0}
    assert options["trust_remote_code"] is False
    assert options["enable_prefix_caching"] is False
    assert os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"
    assert os.environ["VLLM_NO_USAGE_STATS"] == "1"  # vLLM would send what machine this is
    assert "responses by vLLM 0.33.0 in bfloat16, with 40% of the GPU's memory" in capsys.readouterr().err


def test_the_user_s_limit_of_pixels_goes_along(processor):
    """vLLM makes a processor of its own, by the model's folder."""
    _, limiting = build_family("qwen2_5_vl")
    limiting.image_processor.size = {"shortest_edge": 784, "longest_edge": 1568}
    assert _pixels(limiting) == {"min_pixels": 784, "max_pixels": 1568}
    assert _pixels(processor) is None


def test_the_start_of_vllm_leaves_random_states_alone(engine, place, tmp_path):
    trainer = trainer_of(tmp_path, place)
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    expected = random.random(), np.random.rand(), float(torch.rand(()))
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    trainer.source(trainer.model, rows_of(trainer, 1), 0)
    assert (random.random(), np.random.rand(), float(torch.rand(()))) == expected


def test_what_is_trained_stays_what_it_was(engine, place, tmp_path):
    trainer = trainer_of(tmp_path, place)
    trainer.model.train()
    trained = {name for name, value in trainer.model.named_parameters() if value.requires_grad}
    trainer.source(trainer.model, rows_of(trainer, 1), 0)
    assert {name for name, value in trainer.model.named_parameters() if value.requires_grad} == trained
    assert trainer.model.active_adapter == "default"
    assert trainer.model.training
    update_ema(trainer.model, 0.5)


def test_failures_of_vllm_are_one_line(engine, place, tmp_path):
    trainer = trainer_of(tmp_path, place)
    engine.breaks = {"start": ValueError("No available memory for the cache blocks.\nTry more.")}
    with pytest.raises(ModelError, match=r"vLLM does not start: No available memory .*response_engine_memory"):
        trainer.source(trainer.model, rows_of(trainer, 1), 0)
    engine.breaks = {"generate": ValueError("The decoder prompt (length 9000) is longer than the maximum model length")}
    with pytest.raises(TrainingError, match=r"step 5: vLLM fails: The decoder prompt"):
        trainer.source(trainer.model, rows_of(trainer, 1), 4)


def test_a_source_can_be_made_by_hand(engine, place, tmp_path):
    """As any other source, for a trainer that is given it."""
    found: list[float] = []
    source = VllmResponses(tiny_processor(), Sampling(seed=0, max_new_tokens=3), images=1, memory=0.3, log=found.append)
    model = AutoModelForImageTextToText.from_pretrained(place)
    build(tmp_path, model=model, source=source, max_steps=EPOCH).train()
    assert len(found) == 2
