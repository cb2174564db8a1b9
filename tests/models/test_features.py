"""Features that are kept are those of the tower as it is: none of other weights, none that learn, none beyond room."""

import copy

import pytest
import torch
from peft import get_peft_model

from byorn.models.feature_store import GIGABYTE
from byorn.models.features import keep_features
from byorn.models.lora import default_lora
from byorn.models.parts import without_adapter
from byorn.testing import build_family, tiny_model

TOKENS, WIDTH = 16, 64
ONE = TOKENS * WIDTH * 4 / GIGABYTE
"""Features of an image of the tiny model."""


def pictures(*seeds):
    return torch.cat([torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(seed)) for seed in seeds])


class Eyes:
    """A model that keeps features; how many images its tower sees."""

    def __init__(self, model, gigabytes=1.0):
        keep_features(model, gigabytes)
        self.model = model
        self.seen = 0
        without_adapter(model).model.vision_tower.register_forward_pre_hook(self._see)

    def _see(self, tower, given):
        self.seen += len(given[0])

    def look(self, *seeds):
        """The features of pictures, and how many the tower saw for that."""
        before = self.seen
        config = self.model.config
        features = without_adapter(self.model).model.get_image_features(
            pictures(*seeds),
            vision_feature_layer=config.vision_feature_layer,
            vision_feature_select_strategy=config.vision_feature_select_strategy,
        )
        return torch.stack(features.pooler_output), self.seen - before


@torch.no_grad()
def test_an_image_is_seen_once_in_whatever_batch_it_comes():
    eyes = Eyes(tiny_model())
    first, seen = eyes.look(1, 2, 3)
    assert seen == 3
    again, seen = eyes.look(3, 4, 1)
    assert seen == 1
    assert torch.equal(again[[2, 0]], first[[0, 2]])
    plain, _ = Eyes(tiny_model(), 0).look(1, 2, 3)
    torch.testing.assert_close(first, plain, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_what_finds_no_room_is_seen_again_and_is_the_same():
    eyes = Eyes(tiny_model(), 1.5 * ONE)
    first, _ = eyes.look(1, 2)
    again, seen = eyes.look(1, 2)
    assert seen == 1
    assert torch.equal(first, again)


@torch.no_grad()
def test_features_of_other_weights_are_forgotten():
    eyes = Eyes(tiny_model())
    first, _ = eyes.look(1)
    eyes.model.model.multi_modal_projector.linear_1.weight.mul_(2)
    changed, seen = eyes.look(1)
    assert seen == 1
    assert not torch.allclose(first, changed)


@torch.no_grad()
def test_features_of_weights_that_a_cast_has_rounded_are_forgotten():
    eyes = Eyes(tiny_model())
    first, _ = eyes.look(1)
    eyes.model.bfloat16().float()
    rounded, seen = eyes.look(1)
    assert seen == 1
    assert not torch.equal(first, rounded)


def test_where_the_tower_learns_nothing_is_kept():
    eyes = Eyes(tiny_model())
    eyes.model = get_peft_model(eyes.model, default_lora(eyes.model, vision=True))
    for _ in range(2):
        features, seen = eyes.look(1, 2)
        assert seen == 2
        assert features.requires_grad
    with torch.no_grad():  # sampling, say, between two steps
        assert eyes.look(1, 2)[1] == 2


def test_where_the_projector_learns_nothing_is_kept():
    eyes = Eyes(tiny_model().requires_grad_(False))
    assert [eyes.look(1)[1] for _ in range(2)] == [1, 0]
    eyes.model.model.multi_modal_projector.requires_grad_(True)
    for _ in range(2):
        features, seen = eyes.look(1)
        assert seen == 1
        assert features.requires_grad


@torch.no_grad()
def test_a_copy_of_the_model_has_eyes_of_its_own():
    eyes = Eyes(tiny_model())
    first, _ = eyes.look(1)
    eyes.model = copy.deepcopy(eyes.model)
    eyes.model.model.multi_modal_projector.linear_1.weight.mul_(2)
    assert not torch.allclose(first, eyes.look(1)[0])


def test_a_tower_with_noise_is_left_as_it_is(capsys):
    model = tiny_model()
    model.config.vision_config.attention_dropout = 0.1
    keep_features(model, 1)
    assert "get_image_features" not in vars(model.model)
    assert "feature_cache: the vision tower is random" in capsys.readouterr().err


@pytest.mark.parametrize("gigabytes", [0, 1])
def test_a_family_whose_features_cannot_be_kept_is_left_as_it_is(gigabytes, capsys):
    model, _ = build_family("mllama")
    keep_features(model, gigabytes)
    assert "get_image_features" not in vars(model.model)
    assert ("mllama is not among its families" in capsys.readouterr().err) == bool(gigabytes)
