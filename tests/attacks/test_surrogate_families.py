"""Images can be optimized through the processors of other families, since the gradient goes through the processor."""

from typing import Any

import pytest

from byorn.attacks.optimized.surrogate import Surrogate
from byorn.errors import ModelError
from byorn.testing import build_family, tiny_rows

WORKING = (
    "llava_next",
    "llava_onevision",
    "qwen2_5_vl",
    "qwen3_vl",
    "internvl",
    "smolvlm",
    "idefics3",
    "gemma3",
    "paligemma",
)


def gradient(surrogate: Surrogate, what: str) -> Any:
    """The gradient of a loss with respect to the pixels of one image."""
    import torch

    (row,) = tiny_rows(1)
    pixels = surrogate.tensor(row.images[0].load()).requires_grad_()
    loss = surrogate.nll(row, [pixels]) if what == "nll" else surrogate.features([pixels]).pow(2).sum()
    return torch.autograd.grad(loss, pixels)[0]


@pytest.mark.parametrize("name", WORKING)
def test_score_and_features_have_a_gradient_in_every_pixel_that_counts(name: str) -> None:
    surrogate = Surrogate(*build_family(name))
    for what in ("nll", "features"):
        found = gradient(surrogate, what)
        assert found.shape == (3, 64, 64)
        assert found.isfinite().all()
        assert (found != 0).float().mean() > 0.5


def test_two_images_give_two_features_of_their_own() -> None:
    import torch

    surrogate = Surrogate(*build_family("qwen2_5_vl"))
    images = [surrogate.tensor(row.images[0].load()) for row in tiny_rows(2)]
    with torch.no_grad():
        together, alone = surrogate.features(images), [surrogate.features([image])[0] for image in images]
    torch.testing.assert_close(together, torch.stack(alone))


def test_a_family_that_does_not_let_images_be_optimized_says_so_in_one_line() -> None:
    surrogate = Surrogate(*build_family("mllama"))
    with pytest.raises(
        ModelError, match=r"^model: its images cannot be optimized \(.*\); use another model or attack$"
    ):
        gradient(surrogate, "features")
