"""A frozen vision tower runs forward only, and what is learned is the same to the last bit, in every family."""

import pytest
import torch
from family_runs import adapters, trainer_of
from transformers.utils import ModelOutput

from byorn.models.lora import default_lora
from byorn.models.parts import vision_prefix
from byorn.testing import FAMILIES, build_family
from byorn.training.frozen import FrozenTower


def learned(trainer):
    """The adapters after training, and whether any output of the tower had a way back."""
    tower = trainer.model.get_base_model().get_submodule(vision_prefix(trainer.model))
    backward = []
    tower.register_forward_hook(lambda module, args, output: backward.append(_asks(output)))
    trainer.train()
    assert "forward" not in tower.__dict__
    return adapters(trainer), any(backward)


def _asks(output):
    if isinstance(output, ModelOutput | tuple | list):
        return any(_asks(part) for part in (output.values() if isinstance(output, ModelOutput) else output))
    return torch.is_tensor(output) and output.requires_grad


@pytest.mark.parametrize("name", FAMILIES)
def test_a_frozen_tower_has_no_way_back(name, tmp_path):
    found, backward = learned(trainer_of(name, tmp_path / "frozen", gradient_checkpointing=True))
    plain = trainer_of(name, tmp_path / "plain", gradient_checkpointing=True)
    plain.remove_callback(FrozenTower)
    expected, in_vain = learned(plain)
    assert not backward
    assert in_vain == (name != "qwen3_vl")  # there only the embedding of tokens asks for a gradient
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_a_tower_that_learns_keeps_it(tmp_path):
    lora = default_lora(build_family("llava")[0], vision=True)
    assert learned(trainer_of("llava", tmp_path, peft_config=lora))[1]
