"""Soft targets: the loss is the cross-entropy with the average, its expectation is that of sampled tokens, and it
rests where both agree.
"""

from typing import Any

import pytest
import torch
from runner import adapters, build, losses, record

from byorn.errors import ConfigError
from byorn.training.ema import acting_as_ema, update_ema
from byorn.training.soft_targets import SOFT, mark_soft, soft_loss
from byorn.training.trainer import ByornTrainer

ALL, SAVING = [True] * 16, {"save_strategy": "steps", "save_steps": 3}


@pytest.fixture
def caught(tmp_path):
    """A trainer whose average has fallen behind, and the inputs of a flagged batch of four rows as `compute_loss`
    gets them.
    """
    trainer = build(tmp_path, soft_targets=True, max_steps=3, ema_decay=0.9, flagged=ALL)
    trainer.train()
    seen = []
    trainer.compute_loss = lambda model, inputs, **_: seen.append(inputs) or (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    return trainer, seen[0]


def whole_log_probs(model, inputs):
    """[rows, tokens, vocabulary]: what the next token is at every place, from all logits."""
    logits = model(**{key: value for key, value in inputs.items() if key != "labels"}).logits
    return logits[:, :-1].double().log_softmax(-1)


def by_hand(model, inputs, replaced):
    with torch.no_grad(), acting_as_ema(model):
        target = whole_log_probs(model, inputs).exp()
    student, labels, total = whole_log_probs(model, inputs), inputs["labels"][:, 1:], 0.0
    for row, place in (labels != -100).nonzero().tolist():
        own = -student[row, place, labels[row, place]]
        total += -(target[row, place] * student[row, place]).sum() if replaced[row] else own
    return total


def divergence_by_hand(model, inputs, replaced):
    with acting_as_ema(model):
        target = whole_log_probs(model, inputs)
    apart = (target.exp() * (target - whole_log_probs(model, inputs))).sum(-1)
    places = (inputs["labels"][:, 1:] != -100) & torch.tensor(replaced)[:, None]
    return apart[places].mean().item()


@pytest.mark.parametrize("replaced", [[True] * 4, [True, False, False, True]])
def test_the_loss_is_the_cross_entropy_with_the_average_on_replaced_rows_alone(caught, replaced):
    trainer, inputs = caught
    inputs = {key: value for key, value in inputs.items() if key != SOFT}
    model = trainer.model.eval()
    with torch.no_grad():
        loss, divergence = soft_loss(model, model, inputs, torch.tensor(replaced))
        assert loss.item() == pytest.approx(by_hand(model, inputs, replaced).item(), rel=1e-5)
        assert divergence.item() == pytest.approx(divergence_by_hand(model, inputs, replaced), rel=1e-3)
    assert divergence.item() > 1e-4


@pytest.mark.parametrize("counted", [37, None])
def test_the_trainer_divides_by_the_tokens_of_the_step(caught, counted):
    trainer, inputs = caught
    tokens = counted or int((inputs["labels"] != -100).sum())
    model = trainer.model.eval()
    with torch.no_grad():
        expected = by_hand(model, {key: value for key, value in inputs.items() if key != SOFT}, [True] * 4) / tokens
        found = ByornTrainer.compute_loss(trainer, model, dict(inputs), num_items_in_batch=counted)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_only_rows_without_a_response_of_their_own_are_marked():
    rows: list[dict[str, Any]] = [
        {"rows": [{"id": "a", "prompt": []}, {"id": "b", "prompt": [], "completion": []}]},
        {"labels": 1},
    ]
    marked = mark_soft([{"labels": 0}, {"labels": 1}], rows, {})
    assert marked[0][SOFT].tolist() == [True, False]
    assert marked[1] == {"labels": 1}


def test_its_gradient_is_the_expectation_over_the_tokens_that_might_have_been_drawn(caught):
    trainer, inputs = caught
    inputs, model = {key: value[:1] for key, value in inputs.items() if key != SOFT}, trainer.model.eval()
    places = (inputs["labels"][0, 1:] != -100).nonzero().flatten()
    inputs["labels"][0, 1 + int(places[0]) + 1 :] = -100  # one target is left
    loss, _ = soft_loss(model, model, inputs, torch.tensor([True]))
    weights = [value for value in model.parameters() if value.requires_grad]
    soft = torch.autograd.grad(loss, weights)
    with torch.no_grad(), acting_as_ema(model):
        chances = whole_log_probs(model, inputs)[0, places[0]].exp()
    nll = -whole_log_probs(model, inputs)[0, places[0]]
    sampled = torch.autograd.grad((chances * nll).sum(), weights)  # sum over tokens of chance times gradient
    for found, expected in zip(soft, sampled, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6)
    assert any(value.abs().max() > 1e-4 for value in soft)


@pytest.mark.parametrize(("soft", "moved"), [(True, False), (False, True)])
def test_where_student_and_average_agree_soft_targets_rest_and_sampled_ones_pull(tmp_path, soft, moved):
    trainer = build(tmp_path, soft_targets=soft, flagged=ALL, max_steps=1, optim="sgd", weight_decay=0.0)
    update_ema(trainer.model, 0.0)
    before = adapters(trainer)
    trainer.train()
    change = max((before[name] - value).abs().max().item() for name, value in adapters(trainer).items())
    assert (change > 1e-6) is moved


def test_clean_steps_learn_as_before_and_the_sampled_texts_are_the_same(tmp_path):
    runs = []
    for soft in (False, True):
        trainer = build(tmp_path / str(soft), soft_targets=soft, ema_decay=1.0, max_steps=2)
        steps = record(trainer)
        trainer.train()
        runs.append((steps, losses(trainer), trainer._total_train_tokens))
    (steps, hard, tokens), (soft_steps, soft, soft_tokens) = runs
    assert [step["flagged"] for step in steps] == [False, True]
    assert steps == soft_steps  # an average that never moves samples the same
    assert (hard[0], tokens) == (soft[0], soft_tokens)
    assert hard[1] != soft[1]


def test_a_resumed_run_is_the_straight_one_to_the_last_bit(tmp_path):
    runs = []
    for resume in (None, str(tmp_path / "checkpoint-3")):
        trainer = build(tmp_path, soft_targets=True, max_steps=5, **SAVING)
        trainer.train(resume_from_checkpoint=resume)
        runs.append(adapters(trainer))
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"response_temperature": 0.7}, r"it wants plain samples; use response_temperature=1\.0"),
        ({"response_top_p": 0.9}, r"it wants plain samples; .*response_top_p=1\.0"),
        ({"label_smoothing_factor": 0.1}, "leave loss_type and label_smoothing_factor out"),
    ],
)
def test_what_would_make_another_loss_is_refused(tmp_path, other, said):
    with pytest.raises(ConfigError, match=f"soft_targets: .*{said}"):
        build(tmp_path, soft_targets=True, **other)
