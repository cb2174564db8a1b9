"""Runs with a feature store, and how many images each of them had to see."""

import gc

import torch

from byorn.models.feature_store import FeatureStore
from byorn.models.features import keep_features
from byorn.testing import tiny_model


def picture(seed):
    return torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(seed))


class Run:
    """A model with a store; how many images its tower sees."""

    def __init__(self, folder, *, gigabytes=1.0, memory=0.0, model=None):
        model = model or tiny_model()
        keep_features(model, memory, FeatureStore(folder, gigabytes))
        self._watch(model)

    @classmethod
    def of(cls, model):
        """A model that was loaded with a store, or with none."""
        run = cls.__new__(cls)
        run._watch(model)
        return run

    def _watch(self, model):
        self.model, self.seen = model, 0
        model.model.vision_tower.register_forward_pre_hook(self._see)

    def _see(self, tower, given):
        self.seen += len(given[0])

    @torch.no_grad()
    def look(self, *seeds):
        config = self.model.config
        features = self.model.model.get_image_features(
            torch.cat([picture(seed) for seed in seeds]),
            vision_feature_layer=config.vision_feature_layer,
            vision_feature_select_strategy=config.vision_feature_select_strategy,
        )
        return torch.stack(features.pooler_output)

    def end(self):
        """As the end of the process."""
        self.model = None
        gc.collect()
        return self


def files(folder):
    return sorted(folder.rglob("*.safetensors"))


def other_weights(model):
    with torch.no_grad():
        model.model.multi_modal_projector.linear_1.weight[0, 0] += 1e-6
