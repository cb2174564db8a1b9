"""A short adaptation to either half: it leaves nothing behind, comes out the same each time, and knows when to stop."""

import threading
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from peft import get_peft_model

from byorn.data.dataset import to_dataset
from byorn.models.lora import default_lora
from byorn.runs.batches import WHOLE
from byorn.scoring import adaptation
from byorn.scoring.adaptation import BATCH, LONGEST, cross_fitted, longest
from byorn.scoring.folds import content_folds
from byorn.scoring.learning_curve import LOOK, LearningCurve
from byorn.scoring.reader import Reader
from byorn.scoring.score import evidence_together, score_dataset
from byorn.testing import tiny_model, tiny_processor, tiny_rows
from launching import shorten_scans

ROWS = 8


@pytest.fixture(params=["plain", "peft", "peft on few layers"])
def model(request: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    shorten_scans(monkeypatch.setattr)
    made = tiny_model(seed=1)
    if request.param == "plain":
        return made
    lora = default_lora(made, dropout=0.1)
    if request.param == "peft on few layers":
        lora.target_modules = ["q_proj"]
    tuned = get_peft_model(made, lora)
    return tuned.train()  # as a trainer has it: the student's adapter is active and trainable


def everything(model: Any) -> list[tuple[str, bool, torch.Tensor]]:
    return [(name, weight.requires_grad, weight.detach().clone()) for name, weight in model.named_parameters()]


def with_evidence(model: Any, batch_size: int = 16) -> Any:
    rows, processor = tiny_rows(ROWS), tiny_processor()
    dataset = to_dataset(rows)
    scores = score_dataset(model, processor, dataset)
    return evidence_together(scores, model, processor, dataset, rows, WHOLE, batch_size=batch_size)


def test_the_model_and_the_random_state_are_afterwards_as_they_were(model: Any) -> None:
    torch.manual_seed(7)
    state, before, training = torch.get_rng_state(), everything(model), model.training
    modes = [module.training for module in model.modules()]
    active = getattr(model, "active_adapter", None)
    with_evidence(model)
    assert torch.equal(torch.get_rng_state(), state)
    after = everything(model)
    assert [one[:2] for one in after] == [one[:2] for one in before]
    assert all(torch.equal(old, new) for (_, _, old), (_, _, new) in zip(before, after, strict=True))
    assert model.training is training
    assert [module.training for module in model.modules()] == modes
    assert getattr(model, "active_adapter", None) == active
    assert all(weight.grad is None for weight in model.parameters())


def test_the_students_adapter_plays_no_part(model: Any) -> None:
    """A fresh adapter changes nothing, and a trained one is off: the scores are those of the pretrained model."""
    before = with_evidence(model)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.fill_(0.3)
    after = with_evidence(model)
    np.testing.assert_array_equal(before.values["adapted"], after.values["adapted"])


def test_a_pass_takes_whole_batches_of_one_fold_after_those_of_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of both folds would go through the model twice, once with each adapter."""
    shorten_scans(monkeypatch.setattr)
    rows, processor, used = tiny_rows(32), tiny_processor(), []
    monkeypatch.setattr(adaptation.CrossFitted, "use", lambda fitted, fold: used.append(fold))
    model, dataset = tiny_model(seed=1), to_dataset(rows)
    evidence_together(score_dataset(model, processor, dataset), model, processor, dataset, rows, WHOLE, batch_size=4)
    halves = np.bincount(content_folds(rows).astype(int))
    assert len(used) <= 2 * (sum(-(-size // 4) for size in halves) + 1)  # own images, then another row's
    assert sum(before != after for before, after in pairwise(used)) <= 3


def test_it_comes_out_the_same_whatever_was_drawn_before(model: Any) -> None:
    first = with_evidence(model)
    torch.rand(5)
    second = with_evidence(model)
    for name in ("adapted", "adapted_contrast", "evidence"):
        np.testing.assert_array_equal(first.values[name], second.values[name])


def test_it_comes_out_the_same_however_many_rows_are_learned_at_once(model: Any) -> None:
    """Responses are of different lengths, and each of their tokens counts as much as another."""
    at_once, one_by_one = with_evidence(model), with_evidence(model, batch_size=1)
    for name in ("adapted", "adapted_contrast"):
        np.testing.assert_allclose(at_once.values[name], one_by_one.values[name], atol=1e-4, rtol=0)


def test_where_memory_is_short_fewer_rows_are_looked_at_and_learned_at_once(model: Any) -> None:
    """The pass before has halved its batches, too."""
    rows, processor = tiny_rows(ROWS), tiny_processor()
    dataset, fold, usable = to_dataset(rows), content_folds(rows), np.ones(ROWS, dtype=bool)

    def small_device(module: Any, args: Any, kwargs: Any) -> None:
        if len(kwargs["inputs_embeds"]) > 1:
            raise torch.OutOfMemoryError("out of memory")

    def medians() -> tuple[float, ...]:
        with cross_fitted(model, processor, dataset, fold, usable, batch_size=4) as fitted:
            fitted.adapt()
            return fitted.curve.medians

    expected = medians()
    decoder = getattr(model, "get_base_model", lambda: model)().model.language_model
    hook = decoder.register_forward_pre_hook(small_device, with_kwargs=True)
    try:
        assert medians() == pytest.approx(expected, abs=1e-3)
    finally:
        hook.remove()


def test_where_a_single_row_does_not_fit_layers_are_computed_again_and_no_bit_changes(model: Any) -> None:
    """As where a row can be trained on, with activation checkpointing, and cannot be learned without."""
    rows, processor = tiny_rows(ROWS), tiny_processor()
    fold, usable = content_folds(rows), np.ones(ROWS, dtype=bool)
    layer = getattr(model, "get_base_model", lambda: model)().model.language_model.layers[0]
    entered: list[bool] = []

    def small_device(module: Any, args: Any) -> None:
        entered.append(module.gradient_checkpointing)
        if torch.is_grad_enabled() and not module.gradient_checkpointing:
            raise torch.OutOfMemoryError("out of memory")

    def weights() -> list[Any]:
        with cross_fitted(model, processor, to_dataset(rows), fold, usable, batch_size=1) as fitted:
            fitted.adapt()
            return [weight.detach().clone() for number in (0, 1) for weight in fitted._weights(number)]

    expected, before = weights(), vars(layer).copy()
    hook = layer.register_forward_pre_hook(small_device)
    try:
        assert all(torch.equal(old, new) for old, new in zip(expected, weights(), strict=True))
    finally:
        hook.remove()
    assert True in entered
    assert vars(layer) == before


def test_what_does_not_fit_either_way_says_so(model: Any) -> None:
    rows, processor = tiny_rows(ROWS), tiny_processor()
    fold, usable = content_folds(rows), np.ones(ROWS, dtype=bool)
    decoder = getattr(model, "get_base_model", lambda: model)().model.language_model

    def no_device(*_: Any) -> None:
        raise torch.OutOfMemoryError("out of memory")

    hook = decoder.register_forward_pre_hook(no_device)
    try:
        with (
            cross_fitted(model, processor, to_dataset(rows), fold, usable, batch_size=4) as fitted,
            pytest.raises(torch.OutOfMemoryError),
        ):
            fitted.adapt()
    finally:
        hook.remove()


def test_both_folds_take_the_same_number_of_steps_and_learn_their_rows_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_scans(monkeypatch.setattr)
    rows, processor, model = tiny_rows(ROWS), tiny_processor(), tiny_model(seed=1)
    seen: list[set[int]] = []
    step = adaptation.CrossFitted._step

    def watched(self: Any, optimizer: Any, chosen: np.ndarray) -> None:
        seen.append(set(chosen.tolist()))
        step(self, optimizer, chosen)

    monkeypatch.setattr(adaptation.CrossFitted, "_step", watched)
    fold = content_folds(rows)
    usable = np.ones(ROWS, dtype=bool)
    usable[3] = False
    with cross_fitted(model, processor, to_dataset(rows), fold, usable, batch_size=4) as fitted:
        fitted.adapt()
        steps = fitted.curve.steps
    assert len(seen) == 2 * steps > 0
    assert set().union(*seen[:steps]) <= set(np.flatnonzero(~fold).tolist()) - {3}
    assert set().union(*seen[steps:]) <= set(np.flatnonzero(fold).tolist()) - {3}


def test_what_is_learned_and_looked_at_is_read_ahead_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_scans(monkeypatch.setattr)
    rows = tiny_rows(ROWS)
    read, by = Reader._read, []

    def watched(self: Reader, batch: Any, collate: Any) -> Any:
        by.append((threading.current_thread().name, tuple(batch)))
        return read(self, batch, collate)

    monkeypatch.setattr(Reader, "_read", watched)
    given = tiny_model(seed=1), tiny_processor(), to_dataset(rows), content_folds(rows), np.ones(ROWS, dtype=bool)
    with cross_fitted(*given, batch_size=4) as fitted:
        fitted.adapt()
        steps = fitted.curve.steps
    assert all(name.startswith("byorn-reader") for name, _ in by)
    assert len(by) == 2 * steps + len(fitted.curve.medians)


def test_each_kind_is_looked_at_and_the_hardest_one_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, model = tiny_rows(80), tiny_model(seed=1)
    kinds = np.repeat([0, 1], 40)
    fold, usable = np.arange(80) % 2 == 0, np.ones(80, dtype=bool)
    monkeypatch.setattr(
        adaptation.CrossFitted, "_median", lambda self, chosen: 2.0 if self.kinds[chosen].all() else 0.5
    )
    given = model, tiny_processor(), to_dataset(rows), fold, usable
    with cross_fitted(*given, batch_size=4, kinds=kinds) as fitted:
        probed = fitted._probed()
        fitted._over(probed)
    assert [np.unique(kinds[part]).tolist() for part in probed] == [[0], [1]]
    assert all(fold[part].all() for part in probed)
    assert fitted.curve.medians == (2.0,)
    with cross_fitted(*given, batch_size=4) as fitted:
        (alone,) = fitted._probed()
    assert sorted(alone) == np.flatnonzero(fold).tolist()


def test_a_row_that_cannot_be_learned_harms_nobody() -> None:
    """With nothing usable in a fold, or in both, nothing is adapted, and that is said by the curve."""
    rows, model = tiny_rows(ROWS), tiny_model(seed=1)
    fold = content_folds(rows)
    for usable in (np.zeros(ROWS, dtype=bool), fold.copy(), ~fold):
        with cross_fitted(model, tiny_processor(), to_dataset(rows), fold, usable, batch_size=4) as fitted:
            fitted.use(1)


def looks(medians: list[float]) -> Iterator[bool]:
    looked = LearningCurve()
    for median in medians:
        looked = looked.then(median)
        yield looked.over


@pytest.mark.parametrize(
    ("medians", "steps"),
    [
        ([4.0, 2.0, 0.9], 10),  # a quarter of the first: the style is learned
        ([4.0, 2.0, 1.95, 1.9], 15),  # two looks without a tenth of gain
        ([4.0, 2.0, 1.95, 1.7, 1.68, 1.66], 25),  # one look without, then one with
        ([4.0, 4.5, 5.0], 10),  # it gets worse
    ],
)
def test_when_an_adaptation_stops(medians: list[float], steps: int) -> None:
    assert list(looks(medians)).index(True) * LOOK == steps


@pytest.mark.parametrize(("rows", "steps"), [(0, 0), (4, LOOK), (80, 10), (150, 20), (320, LONGEST), (10**6, LONGEST)])
def test_a_style_that_is_learned_slowly_is_learned_for_two_passes_over_a_half_at_most(rows: int, steps: int) -> None:
    assert longest(rows) == steps


def test_few_rows_are_not_learned_by_heart(monkeypatch: pytest.MonkeyPatch) -> None:
    """80 rows of a half, a median that goes on and on falling: after two passes it is over, at a look."""
    rows, model = tiny_rows(160), tiny_model(seed=1)
    steps: list[int] = []
    monkeypatch.setattr(adaptation.CrossFitted, "_median", lambda self, chosen: 4.0 * 0.95 ** len(steps))
    monkeypatch.setattr(adaptation.CrossFitted, "_step", lambda self, optimizer, chosen: steps.append(len(chosen)))
    fold, usable = np.arange(160) % 2 == 0, np.ones(160, dtype=bool)
    with cross_fitted(model, tiny_processor(), to_dataset(rows), fold, usable, batch_size=4) as fitted:
        fitted.adapt()
    assert (fitted.curve.steps, sum(steps)) == (10, 2 * 2 * 80)
    assert set(steps) == {BATCH}


def test_a_course_comes_back_from_the_metadata_of_a_file() -> None:
    went = LearningCurve((4.0, 2.5, 0.75))
    assert LearningCurve.of(went.as_metadata()) == went
    assert (went.steps, went.settled) == (10, True)
    assert (LearningCurve.of({}).steps, LearningCurve.of({}).settled) == (0, False)
