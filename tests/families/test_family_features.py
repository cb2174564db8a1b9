"""Features that are kept, or were stored, give what they give when they are computed anew, to the last bit, in every
family.
"""

import gc

import numpy as np
import pytest
import torch
from family_cases import family_of
from family_runs import adapters, trainer_of

from byorn.data.dataset import to_dataset
from byorn.models.feature_store import FeatureStore
from byorn.models.features import keep_features
from byorn.models.images import FAMILIES
from byorn.models.parts import vision_prefix
from byorn.scoring.score import score_dataset
from byorn.testing import build_family

NO_ROOM = 1e-9
"""A byte: every image is looked at by itself, and nothing is kept."""


@pytest.fixture(params=FAMILIES)
def name(request):
    return request.param


def sights(model):
    """What the tower has seen, an entry a run."""
    seen = []

    def see(tower, args, kwargs):
        pixels = next(value for value in (*args, *kwargs.values()) if torch.is_tensor(value))
        seen.append(pixels.numpy().tobytes())

    model.get_submodule(vision_prefix(model)).register_forward_pre_hook(see, with_kwargs=True)
    return seen


def test_scores_do_not_depend_on_what_was_kept_and_hardly_on_keeping(name):
    family = family_of(name)
    rows = to_dataset(family.rows)
    model, _ = build_family(name)
    keep_features(model, NO_ROOM)
    anew = score_dataset(model, family.processor, rows, batch_size=len(rows)).nll
    model, _ = build_family(name)
    keep_features(model, 1)
    seen = sights(model)
    alone = score_dataset(model, family.processor, rows, batch_size=1).nll
    once = len(seen)
    together = score_dataset(model, family.processor, rows, batch_size=len(rows)).nll
    assert once
    assert len(seen) == once
    assert np.array_equal(together, anew)
    plain = score_dataset(family.model, family.processor, rows, batch_size=1).nll
    np.testing.assert_allclose(alone, plain, atol=1e-5)


def test_training_does_not_depend_on_what_was_kept(name, tmp_path, monkeypatch):
    """A clean step and a flagged one, whose responses are sampled."""
    found, seen = {}, {}
    for room in (NO_ROOM, 1):
        monkeypatch.setattr("family_runs.build_family", lambda name, room=room: _keeping(name, room))
        trainer = trainer_of(name, tmp_path / str(room))
        seen[room] = sights(trainer.model.get_base_model())
        trainer.train()
        found[room] = adapters(trainer)
    assert len(set(seen[1])) == len(seen[1]) < len(seen[NO_ROOM])
    assert set(seen[1]) == set(seen[NO_ROOM])
    assert all(torch.equal(found[1][key], found[NO_ROOM][key]) for key in found[1])


def test_a_second_run_reads_what_the_first_one_stored(name, tmp_path):
    family = family_of(name)
    rows = to_dataset(family.rows)
    found, seen = [], []
    for room in (NO_ROOM, 1, 1):
        model, _ = build_family(name)
        keep_features(model, 0, FeatureStore(tmp_path, room))
        seen.append(sights(model))
        found.append(score_dataset(model, family.processor, rows, batch_size=len(rows)).nll)
        del model
        gc.collect()  # the end of a process
    assert set(seen[0]) == set(seen[1])
    assert seen[0]
    assert not seen[2]
    assert np.array_equal(found[1], found[0])
    assert np.array_equal(found[2], found[0])


def _keeping(name, room):
    model, processor = build_family(name)
    keep_features(model, room)
    return model, processor
