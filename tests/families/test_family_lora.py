"""LoRA sits on the language model and nowhere else, and on the vision tower when asked; every way to find them
agrees.
"""

import re

import pytest
import torch
from family_cases import family_of
from family_runs import adapters, trainer_of
from torch import nn

from byorn.models import parts
from byorn.models.lora import TESTED, default_lora, describe, idle_layers, lora_targets
from byorn.testing import FAMILIES

LANGUAGE = {"smolvlm": "model.text_model", "idefics3": "model.text_model"}  # model.language_model in the others
TOWER = {
    "qwen2_5_vl": "model.visual", "qwen3_vl": "model.visual",
    "smolvlm": "model.vision_model", "idefics3": "model.vision_model", "mllama": "model.vision_model",
}  # fmt: skip
# These read the tower's last layer but one, so that no gradient reaches the last.
IDLE = {"llava": "model.vision_tower.encoder.layers.1", "llava_next": "model.vision_tower.encoder.layers.1"}


def hit(model, targets):
    return {name for name, module in model.named_modules() if re.fullmatch(targets, name)}


def linears_below(model, prefix):
    modules = model.named_modules()
    return {name for name, part in modules if isinstance(part, nn.Linear) and name.startswith(f"{prefix}.")}


def test_every_linear_layer_of_the_language_model_and_no_other(family):
    prefix = LANGUAGE.get(family.name, "model.language_model")
    assert hit(family.model, lora_targets(family.model)) == linears_below(family.model, prefix)
    layers = family.model.config.get_text_config().num_hidden_layers
    assert describe(family.model, lora_targets(family.model)) == f"LoRA on {7 * layers} linear layers of {prefix}"


def test_the_tower_as_well_when_asked(family):
    tower = TOWER.get(family.name, "model.vision_tower")
    more = hit(family.model, lora_targets(family.model, vision=True)) - hit(family.model, lora_targets(family.model))
    assert more
    assert more <= linears_below(family.model, tower)
    assert describe(family.model, lora_targets(family.model, vision=True)).endswith(
        f"{len(more)} linear layers of {tower}"
    )


def test_a_family_that_nobody_told_us_of_would_be_found_by_its_structure(family):
    finders = (parts._named_decoder, parts._usual_name, parts._around_vocabulary)
    assert len({find(family.model) for find in finders}) == 1


def test_the_tested_families_are_those_of_the_matrix():
    assert set(TESTED) == set(FAMILIES)
    assert all(family_of(name).model.config.model_type == name for name in FAMILIES)


@pytest.mark.parametrize("checkpointing", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_tower_learns_through_every_layer_that_the_model_reads(family, tmp_path, checkpointing):
    trainer = trainer_of(
        family.name, tmp_path, max_steps=1, save_strategy="no", gradient_checkpointing=checkpointing,
        peft_config=default_lora(family.model, rank=4, vision=True),
    )  # fmt: skip
    trainer.train()
    idle = idle_layers(trainer.model)
    assert all(IDLE.get(family.name, "none") in name for name in idle)
    assert bool(idle) == (family.name in IDLE)
    tower = TOWER.get(family.name, "model.vision_tower")
    moved = [name for name, value in adapters(trainer, ".lora_B.default.").items() if tower in name and value.any()]
    assert moved
    assert all(torch.isfinite(value).all() for value in adapters(trainer).values())
