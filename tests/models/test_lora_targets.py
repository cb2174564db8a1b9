"""LoRA goes to every linear layer of the language model and to nothing else."""

import re
from typing import Any

import pytest
import torch
from torch import nn

from byorn.errors import ModelError
from byorn.models.lora import default_lora, describe, idle_layers, lora_targets
from byorn.models.parts import language_prefix, vision_prefix
from byorn.testing import tiny_model


def linears(model: Any) -> set[str]:
    """The names of all linear layers."""
    return {name for name, module in model.named_modules() if isinstance(module, nn.Linear)}


def test_the_targets_are_the_linear_layers_of_the_language_model(model: Any) -> None:
    targets = lora_targets(model)
    hit = {name for name, _ in model.named_modules() if re.fullmatch(targets, name)}
    assert hit == {name for name in linears(model) if name.startswith("model.language_model.")}
    assert len(hit) == 2 * 7
    missed = linears(model) - hit
    assert any("vision_tower" in name for name in missed)
    assert any("multi_modal_projector" in name for name in missed)
    assert "lm_head" in missed


def test_peft_puts_its_adapters_there_and_nowhere_else(processor: Any) -> None:
    from peft import get_peft_model

    model = get_peft_model(tiny_model(processor=processor), default_lora(tiny_model(processor=processor), rank=4))
    adapted = {name.partition(".lora_A")[0] for name, _ in model.named_parameters() if ".lora_A" in name}
    assert len(adapted) == 14
    assert all(".language_model.layers." in name for name in adapted)
    assert [
        name for name, parameter in model.named_parameters() if parameter.requires_grad and "lora_" not in name
    ] == []
    assert language_prefix(model) == "model.language_model"


def test_rank_alpha_and_dropout_are_passed_on(model: Any) -> None:
    assert (default_lora(model, rank=8).r, default_lora(model, rank=8).lora_alpha) == (8, 16)
    config = default_lora(model, rank=8, alpha=4, dropout=0.1)
    assert (config.lora_alpha, config.lora_dropout, config.bias) == (4, 0.1, "none")


def test_a_language_model_known_by_its_name_alone_is_found() -> None:
    class Decoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([nn.ModuleDict({"up": nn.Linear(2, 2), "lm_head": nn.Linear(2, 2)})])

    class Family(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.vision_model = nn.ModuleDict({"text_model": Decoder()})
            self.text_model = Decoder()
            self.visual = nn.ModuleDict({"up": nn.Linear(2, 2)})

    assert language_prefix(Family()) == "text_model"
    hit = [name for name, _ in Family().named_modules() if re.fullmatch(lora_targets(Family()), name)]
    assert hit == ["text_model.layers.0.up"]


class Block(nn.Module):
    """A layer with torch's own attention, whose output projection is never called as a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.MultiheadAttention(4, 1)
        self.up, self.down = nn.Linear(4, 8), nn.Linear(8, 4)


class Eye(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches, self.blocks, self.pool = nn.Conv2d(3, 4, 2), nn.ModuleList([Block(), Block()]), nn.Linear(4, 4)


class Apart(nn.Module):
    """A made-up family in parts with names of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.eye, self.bridge = Eye(), nn.Linear(4, 4)
        self.mind = nn.ModuleDict({"words": nn.Embedding(50, 4), "steps": nn.ModuleList([Block()])})
        self.voice = nn.Linear(4, 50)


class Flat(nn.Module):
    """The same with nothing around the language model's layers."""

    def __init__(self) -> None:
        super().__init__()
        self.places, self.words = nn.Embedding(9, 4), nn.Embedding(50, 4)
        self.eye, self.steps, self.voice = Eye(), nn.ModuleList([Block()]), nn.Linear(4, 50)


@pytest.mark.parametrize(("family", "prefix"), [(Apart, "mind"), (Flat, "steps")])
def test_a_made_up_family_is_found_by_its_structure_and_byorn_says_so(family: Any, prefix: str) -> None:
    model = family()
    stack = {Apart: "mind.steps", Flat: "steps"}[family]
    assert (language_prefix(model), vision_prefix(model)) == (prefix, "eye")
    language, both = lora_targets(model), lora_targets(model, vision=True)
    names = [name for name, _ in model.named_modules()]
    assert {name for name in names if re.fullmatch(language, name)} == {f"{stack}.0.up", f"{stack}.0.down"}
    tower = {f"eye.blocks.{block}.{leaf}" for block in (0, 1) for leaf in ("up", "down")}
    assert {name for name in names if re.fullmatch(both, name) and not re.fullmatch(language, name)} == tower
    assert describe(model, both) == (
        f"LoRA on 2 linear layers of {prefix} and 4 linear layers of eye "
        f"(found by structure: {family.__name__!r} is not among the tested families)"
    )


def test_two_stacks_that_could_both_be_the_language_model_are_refused() -> None:
    model = Flat()
    model.more = nn.ModuleList([Block()])
    with pytest.raises(ModelError, match="pass a peft_config"):
        language_prefix(model)


def test_a_model_without_a_tower_has_no_vision_to_adapt() -> None:
    model: Any = Apart()
    model.eye = nn.Identity()
    assert vision_prefix(model) is None
    with pytest.raises(ModelError, match="no vision tower"):
        default_lora(model, vision=True)


def test_targets_of_ones_own_are_described_too() -> None:
    assert describe(Apart(), "bridge|mind.*up").startswith(
        "LoRA on 1 linear layers of mind and 1 linear layers of other parts"
    )
    assert describe(nn.ModuleDict({"body": nn.Linear(2, 2)}), "nothing").startswith("LoRA on no layer")


def test_layers_that_no_gradient_reaches_are_named() -> None:
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), LoraConfig(target_modules=["0", "1"]))
    assert idle_layers(model) == ["0", "1"]
    with torch.no_grad():
        model.get_parameter("base_model.model.0.lora_B.default.weight").fill_(1.0)
    assert idle_layers(model) == ["1"]


def test_an_architecture_without_a_recognizable_language_model_is_refused() -> None:
    with pytest.raises(ModelError, match="pass a peft_config"):
        lora_targets(nn.ModuleDict({"body": nn.Linear(2, 2)}))


def test_a_language_model_without_linear_layers_is_refused() -> None:
    with pytest.raises(ModelError, match="no linear layer below 'language_model'"):
        lora_targets(nn.ModuleDict({"language_model": nn.ModuleDict({"table": nn.Embedding(2, 2)})}))
