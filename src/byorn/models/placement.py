"""Inputs where a model wants them: on its device, and numbers with a fraction in its number type."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


def place_inputs(inputs: "Mapping[str, Tensor]", model: "PreTrainedModel") -> "dict[str, Tensor]":
    """A batch as the model takes it; token ids and masks keep their type, and what is no tensor stays as it is."""
    return {key: _placed(value, model) for key, value in inputs.items()}


def _placed(value: "Tensor", model: "PreTrainedModel") -> "Tensor":
    if not hasattr(value, "is_floating_point"):  # some processors add lists of sizes
        return value
    return value.to(model.device, model.dtype if value.is_floating_point() else value.dtype)
