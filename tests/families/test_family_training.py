"""One clean and one flagged optimizer step, a resume in between, and an adapter that needs nothing of byorn."""

import math
import os
from types import SimpleNamespace

import pytest
import torch
from family_cases import family_of
from family_runs import GROUP, adapters, trainer_of
from peft import PeftModel

from byorn.data.dataset import to_dataset
from byorn.models.generate import encode_prompts
from byorn.testing import FAMILIES, build_family
from byorn.training.ema import acting_as_ema
from byorn.training.soft_targets import soft_loss


@pytest.fixture(scope="module", params=FAMILIES)
def trained(request, tmp_path_factory):
    """A run of two steps, what its adapters were before, and its folder."""
    folder = tmp_path_factory.mktemp(request.param)
    trainer = trainer_of(request.param, folder)
    before = adapters(trainer)
    trainer.train()
    trainer.save_model(str(folder / "adapter"))
    return SimpleNamespace(name=request.param, trainer=trainer, before=before, folder=folder)


def test_a_clean_and_a_flagged_step_are_learned(trained):
    log = trained.trainer.state.log_history
    assert [entry["flagged_share"] for entry in log if "loss" in entry] == [0.0, 1.0]
    assert all(math.isfinite(entry["loss"]) and entry["grad_norm"] > 0 for entry in log if "loss" in entry)
    assert trained.trainer.tally.counts["replaced"] == GROUP
    after = adapters(trained.trainer)
    for adapter in ("default", "ema"):
        outer = [key for key in after if f".lora_B.{adapter}." in key]
        assert outer
        assert all(not torch.equal(trained.before[key], after[key]) for key in outer)


def test_soft_targets_are_those_of_all_logits(trained):
    trainer, family = trained.trainer, family_of(trained.name)
    model = trainer.model.eval()
    inputs = trainer._prepare_inputs(trainer.data_collator.encode(list(to_dataset(family.rows[:2]))))
    forward, labels = {key: value for key, value in inputs.items() if key != "labels"}, inputs["labels"][:, 1:]
    with torch.no_grad():
        student = model(**forward).logits[:, :-1].double().log_softmax(-1)
        with acting_as_ema(model):
            target = model(**forward).logits[:, :-1].double().softmax(-1)
        expected = -(target * student).sum(-1)[labels != -100].sum()
        loss, divergence = soft_loss(model, model, inputs, torch.tensor([True, True]))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)
    assert divergence.item() > 0


def test_a_run_resumed_between_the_two_ends_the_same(trained):
    resumed = trainer_of(trained.name, trained.folder)
    resumed.train(resume_from_checkpoint=str(trained.folder / "checkpoint-1"))
    expected, found = adapters(trained.trainer), adapters(resumed)
    assert any(".ema." in key for key in expected)
    assert all(torch.equal(expected[key], found[key]) for key in expected)


def test_the_adapter_reloads_through_peft_alone(trained):
    family = family_of(trained.name)
    inputs = encode_prompts(family.processor, list(to_dataset(family.rows[:2])))
    reloaded = PeftModel.from_pretrained(build_family(trained.name)[0], os.fspath(trained.folder / "adapter")).eval()
    with torch.no_grad():
        expected, found = trained.trainer.model.eval()(**inputs).logits, reloaded(**inputs).logits
        assert torch.equal(expected, found)
        assert not torch.allclose(found, family.model(**inputs).logits, atol=1e-3)
