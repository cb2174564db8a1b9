"""A run says what keeping image features would spare, where it would spare something."""

import pytest

from byorn.data.dataset import to_dataset
from byorn.models.features import keep_features
from byorn.models.inputs import Inputs
from byorn.pipeline import seeing
from byorn.pipeline.seeing import tell_seeing
from byorn.testing import tiny_model, tiny_processor, tiny_rows

TOKENS, WIDTH = 16, 64


@pytest.fixture
def inputs():
    rows = tiny_rows(4, images=2)
    model, processor = tiny_model(), tiny_processor()
    model.eval()
    return Inputs(rows=rows, dataset=to_dataset(rows), model=model, processor=processor, identity={}, rejects=0)


def said(inputs, capsys):
    tell_seeing(inputs, batch_size=2)
    return capsys.readouterr().err


def test_it_says_what_the_tower_takes_and_what_its_features_weigh(inputs, capsys, monkeypatch):
    monkeypatch.setattr(seeing, "WORTH", 0)
    assert f"for {TOKENS * WIDTH * 4 / 1e6:.2g} MB of memory an image" in said(inputs, capsys)
    assert "get_image_features" not in vars(inputs.model.base_model)


def test_it_says_nothing_where_the_tower_takes_little(inputs, capsys, monkeypatch):
    monkeypatch.setattr(seeing, "WORTH", 1.1)
    assert said(inputs, capsys) == ""


def test_it_says_nothing_where_features_are_kept_or_cannot_be(inputs, capsys, monkeypatch):
    monkeypatch.setattr(seeing, "WORTH", 0)
    keep_features(inputs.model, 1.0)
    assert said(inputs, capsys) == ""
    random = tiny_model()
    random.config.vision_config.attention_dropout = 0.1
    object.__setattr__(inputs, "model", random)
    assert said(inputs, capsys) == ""
