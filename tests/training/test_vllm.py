"""Responses by vLLM, with a stand-in that runs the tiny model: which weights it gets, and a training with it."""

import gc
import random

import numpy as np
import torch
from runner import EPOCH, build, losses
from transformers import AutoModelForImageTextToText
from vllm_trainers import part, rows_of, trainer_of

from byorn.models.generate import read_response
from byorn.models.template import end_ids
from byorn.testing import tiny_processor
from byorn.training.ema import update_ema
from byorn.training.engine.probe import TOLERANCE
from byorn.training.engine.source import VllmResponses
from byorn.training.noise import stream_seed
from byorn.training.sampling import Sampling


def average_of(trainer):
    """By the names that PEFT has for it on disk."""
    return {name.replace(".ema.", "."): value for name, value in trainer.model.named_parameters() if ".ema." in name}


def test_the_engine_gets_the_average_and_not_the_student(engine, sharp_model, tmp_path):
    trainer = trainer_of(tmp_path, sharp_model)
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


def test_names_and_numbers_never_come_again_and_old_folders_go(engine, sharp_model, tmp_path):
    trainer = trainer_of(tmp_path, sharp_model)
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


def test_responses_come_in_order_and_read_as_those_of_transformers(engine, sharp_model, tmp_path):
    trainer = trainer_of(tmp_path, sharp_model)
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


def test_a_training_runs_through(engine, sharp_model, tmp_path):
    trainer = trainer_of(tmp_path, sharp_model, max_steps=EPOCH)
    trainer.train()
    steps = [entry for entry in trainer.state.log_history if "engine_difference" in entry]
    assert len(steps) == len(engine.made[0].requests) == 2  # flagged steps of an epoch
    assert all(0 <= entry["engine_difference"] < TOLERANCE for entry in steps)
    assert len(losses(trainer)) == EPOCH
    assert np.isfinite(losses(trainer)).all()
    assert not torch.equal(*(next(iter(loaded.values())) for loaded in engine.made[0].loaded))


def test_a_training_in_blocks_asks_once_a_block(engine, sharp_model, tmp_path):
    trainer = trainer_of(tmp_path, sharp_model, max_steps=2 * EPOCH, response_block=2)
    trainer.train()
    assert len(engine.made[0].requests) == 2
    assert [len(call) for call in engine.made[0].calls] == [6, 6]
    assert np.isfinite(losses(trainer)).all()


def test_a_run_goes_on_with_an_engine_of_its_own(engine, sharp_model, tmp_path):
    run = {"max_steps": 2 * EPOCH, "save_strategy": "steps", "save_steps": EPOCH, "response_block": 2}
    trainer_of(tmp_path, sharp_model, **run).train()
    resumed = trainer_of(tmp_path, sharp_model, **run)
    resumed.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{EPOCH}"))
    assert resumed.state.global_step == 2 * EPOCH
    assert len(engine.made) == 2


def test_the_start_of_vllm_leaves_random_states_alone(engine, sharp_model, tmp_path):
    trainer = trainer_of(tmp_path, sharp_model)
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    expected = random.random(), np.random.rand(), float(torch.rand(()))
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    trainer.source(trainer.model, rows_of(trainer, 1), 0)
    assert (random.random(), np.random.rand(), float(torch.rand(()))) == expected


def test_what_is_trained_stays_what_it_was(engine, sharp_model, tmp_path):
    trainer = trainer_of(tmp_path, sharp_model)
    trainer.model.train()
    trained = {name for name, value in trainer.model.named_parameters() if value.requires_grad}
    trainer.source(trainer.model, rows_of(trainer, 1), 0)
    assert {name for name, value in trainer.model.named_parameters() if value.requires_grad} == trained
    assert trainer.model.active_adapter == "default"
    assert trainer.model.training
    update_ema(trainer.model, 0.5)


def test_a_source_can_be_made_by_hand(engine, sharp_model, tmp_path):
    """As any other source, for a trainer that is given it."""
    found: list[float] = []
    source = VllmResponses(tiny_processor(), Sampling(seed=0, max_new_tokens=3), images=1, memory=0.3, log=found.append)
    model = AutoModelForImageTextToText.from_pretrained(sharp_model)
    build(tmp_path, model=model, source=source, max_steps=EPOCH).train()
    assert len(found) == 2
