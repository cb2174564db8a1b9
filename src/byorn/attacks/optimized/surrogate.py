"""The model that an attacker optimizes against: the pretrained one, read through its own processor with gradients.

    nll       mean negative log-likelihood of a row's response, what the defense scores      [rows]
    features  image features as the language model receives them, averaged over an image     [images, width]
    embed     input embeddings of a text, averaged over its tokens                           [texts, width]

Images are float tensors [3, height, width] in [0, 255]. They go through the model's own image processor, which resizes,
crops, tiles and normalizes tensors as it does files and lets the gradient through; so nothing here knows a family.
Only gradients with respect to images are ever taken: the model's weights and their `.grad` stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import TYPE_CHECKING, Any, cast

from PIL import Image

from byorn.data.row import Row
from byorn.errors import ModelError
from byorn.models.placement import place_inputs
from byorn.text import first_line

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module
    from transformers import PreTrainedModel, ProcessorMixin

CANVAS = 224
"""Largest side in pixels of the square that pictures are optimized on; patches then have the papers' own sizes."""


@dataclass(frozen=True, slots=True)
class Surrogate:
    """A model in eval mode with its processor."""

    model: PreTrainedModel
    processor: ProcessorMixin

    def tensor(self, image: Image.Image) -> Tensor:
        """The image as the model's processor will take it: float32 [3, height, width] in [0, 255]."""
        import numpy as np
        import torch

        pixels = np.array(image.convert("RGB"), dtype=np.float32)
        return torch.from_numpy(pixels).permute(2, 0, 1).contiguous().to(self.model.device)

    def nll(self, row: Row, images: Sequence[Tensor]) -> Tensor:
        """Mean negative log-likelihood of the response in nats a token: a scalar; `images` stand for the row's own.

        Raises:
            ModelError: The model or its processor does not let images be optimized.
        """
        from byorn.models.template import missing_end_of_turn
        from byorn.scoring.likelihood import build_collator

        response = row.response + missing_end_of_turn(self.processor)
        completion = [{"role": "assistant", "content": [{"type": "text", "text": response}]}]
        sample = {"prompt": row.prompt, "completion": completion, "images": list(images)}
        try:
            batch = build_collator(self.processor)([sample])
            labels = batch.pop("labels")[:, 1:].to(self.model.device)
            logits = self.model(**place_inputs(batch, self.model)).logits[:, :-1]
        except Exception as error:  # processors fail on tensors in every way there is
            raise _unfit(error) from error
        log_probs: Tensor = logits.float().log_softmax(-1).gather(-1, labels.clamp(min=0)[..., None])[..., 0]
        return -log_probs[labels != -100].mean()

    def features(self, images: Sequence[Tensor]) -> Tensor:
        """The mean feature of each image; all images of one size.

        Raises:
            ModelError: The model has no image features, or its processor does not let images be optimized.
        """
        import torch

        try:
            batch = self.processor.image_processor(images=list(images), return_tensors="pt")
            # a method of every family, but not of the base class
            read = cast("Callable[..., Any]", self.model.get_image_features)
            known = signature(read).parameters
            found = read(**place_inputs({key: batch[key] for key in batch if key in known}, self.model))
        except Exception as error:  # processors fail on tensors in every way there is
            raise _unfit(error) from error
        found = getattr(found, "pooler_output", found)
        parts = found if isinstance(found, list | tuple) else [found]
        tokens = torch.cat([part.flatten(0, -2) for part in parts])
        return tokens.reshape(len(images), -1, tokens.shape[-1]).mean(1).float()

    def embed(self, texts: Sequence[str]) -> Tensor:
        """The mean input embedding of each text; texts without a token give 0."""
        import torch

        table = self.model.get_input_embeddings()
        with torch.no_grad():
            return torch.stack([self._mean_embedding(table, ids) for ids in self._ids(texts)])

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        ids: list[list[int]] = self.processor.tokenizer(list(texts), add_special_tokens=False)["input_ids"]
        return ids

    def _mean_embedding(self, table: Module, ids: list[int]) -> Tensor:
        import torch

        found = table(torch.tensor(ids, dtype=torch.long, device=self.model.device)).float()
        return found.mean(0) if ids else torch.zeros(found.shape[-1], device=self.model.device)


def _unfit(error: Exception) -> ModelError:
    return ModelError(f"model: its images cannot be optimized ({first_line(error)}); use another model or attack")
