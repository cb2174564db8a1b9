"""LoRA goes to every linear layer of the language model and to nothing else."""

import re
from typing import Any

import pytest
from torch import nn

from byorn.errors import ModelError
from byorn.models.lora import default_lora, language_prefix, lora_targets
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


def test_an_architecture_without_a_recognisable_language_model_is_refused() -> None:
    with pytest.raises(ModelError, match="pass a peft_config"):
        lora_targets(nn.ModuleDict({"body": nn.Linear(2, 2)}))


def test_a_language_model_without_linear_layers_is_refused() -> None:
    with pytest.raises(ModelError, match="no linear layer below 'language_model'"):
        lora_targets(nn.ModuleDict({"language_model": nn.ModuleDict({"table": nn.Embedding(2, 2)})}))
