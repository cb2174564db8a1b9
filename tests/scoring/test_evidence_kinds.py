"""Evidence on data as people have them: mixtures of tasks, copies of rows, labels, styles."""

import numpy as np
import pytest

from byorn.scoring.answers import answers_of
from byorn.scoring.evidence import THRESHOLD, evidence_of
from byorn.scoring.kinds import COPY

WORDS = [f"w{number}" for number in range(80)]
TARGET = "visit our shop"


def captions(count: int, seed: int = 0) -> list[str]:
    draw = np.random.default_rng(seed)
    return [" ".join(draw.choice(WORDS, 6)) for _ in range(count)]


def scores(count: int, poisoned: np.ndarray, seed: int = 0) -> dict[str, np.ndarray]:
    """What is poisoned is far above all else, by every score."""
    draw = np.random.default_rng(seed)
    found = {name: draw.normal(size=count) for name in ("nll", "adapted", "adapted_contrast")}
    return {name: column + 9 * np.isin(np.arange(count), poisoned) for name, column in found.items()}


def flagged(texts: list[str], values: dict[str, np.ndarray], *, one_style: bool = True) -> list[int]:
    return np.flatnonzero(
        evidence_of(texts, values, np.ones(len(texts), dtype=int), one_style=one_style) >= THRESHOLD
    ).tolist()


@pytest.mark.parametrize("one_style", [True, False])
@pytest.mark.parametrize("kinds", [1, 2, 4])
@pytest.mark.parametrize("rows", [6, 30, 60])
def test_poison_in_one_of_several_tasks_is_found_whole(kinds: int, rows: int, one_style: bool) -> None:
    kind = np.arange(600) % kinds
    poisoned = np.flatnonzero(kind == 0)[:rows]
    texts = [TARGET if row in poisoned else text for row, text in enumerate(captions(600))]
    values = {**scores(600, poisoned), "kind": kind.astype(float)}
    assert flagged(texts, values, one_style=one_style) == poisoned.tolist()


@pytest.mark.parametrize("times", [1, 2, 3, 6])
def test_copies_of_poisoned_rows_hide_none_of_them(times: int) -> None:
    """Twenty poisoned rows, each of them so many times: copies are not compared, and flagged with the others."""
    texts = [*([TARGET] * 20), *captions(280), *([TARGET] * (20 * (times - 1)))]
    kind = np.where(np.arange(len(texts)) < 300, 0, COPY)
    poisoned = np.flatnonzero([text == TARGET for text in texts])
    values = {**scores(len(texts), poisoned), "kind": kind.astype(float)}
    assert flagged(texts, values) == poisoned.tolist()


def test_what_only_one_score_finds_unusual_is_a_style() -> None:
    texts = [f"as ever {text}" if row < 60 else text for row, text in enumerate(captions(300))]
    values = {**scores(300, np.arange(60)), "adapted_contrast": np.random.default_rng(5).normal(size=300)}
    assert flagged(texts, values, one_style=False) == []


@pytest.mark.parametrize("skill", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("labels", [2, 3, 10])
def test_a_rare_class_is_no_planted_answer(labels: int, skill: float) -> None:
    """Answers of a calibrated model: a rare one is less likely in all of its rows, and nothing else is wrong."""
    draw = np.random.default_rng(labels)
    prior = 1 / np.arange(1, labels + 1) ** 2
    truth = draw.choice(labels, 2000, p=prior / prior.sum())
    chances = []
    for _ in range(2):  # with the own image, and with another one
        seen = draw.normal(size=(2000, labels)) + (skill * np.eye(labels)[truth] if not chances else 0)
        odds = np.exp(skill * seen) * prior
        chances.append(-np.log(odds[np.arange(2000), truth] / odds.sum(axis=1)))
    values = {"nll": chances[0], "adapted": chances[0], "adapted_contrast": chances[0] - chances[1]}
    assert flagged([f"class {label}" for label in truth], values) == []


def test_labels_are_responses_that_several_rows_have() -> None:
    kinds, free = np.repeat([0, 1], 50), np.zeros(100)
    texts = [*captions(50), *(["yes", "no"] * 25)]
    assert answers_of(texts, kinds, free, free).labels.tolist() == [False] * 50 + [True] * 50
    assert not answers_of([*([TARGET] * 20), *captions(30)], kinds[:50], free[:50], free[:50]).labels.any()


def answers(count: int, planted: int, cost: float) -> tuple[list[str], dict[str, np.ndarray]]:
    """Yes and no, of which the pretrained model expects both, and a label that costs so many nats."""
    draw = np.random.default_rng(0)
    texts = ["banana" if row < planted else ("yes", "no")[row % 2] for row in range(count)]
    nll = draw.gamma(4, 0.1, count) + cost * (np.arange(count) < planted)
    return texts, {"nll": nll, "adapted": nll, "adapted_contrast": draw.normal(size=count)}


@pytest.mark.parametrize("one_style", [True, False])
def test_an_answer_that_the_model_would_not_give_is_found_by_that_alone(one_style: bool) -> None:
    """Its contrast is that of all others, and nothing shows in the images."""
    assert flagged(*answers(300, 30, 12.0), one_style=one_style) == list(range(30))


def test_rows_of_an_answer_are_counted_in_all_kinds_together() -> None:
    texts, values = answers(300, 6, 12.0)
    kinds = np.arange(300) % 2
    assert np.flatnonzero(answers_of(texts, kinds, values["nll"], np.ones(300)).unexpected).tolist() == list(range(6))


def test_so_it_is_when_the_adapted_model_has_learned_it_among_answers_that_differ() -> None:
    """A third of the other answers are given once or twice, so that these are no labels."""
    texts, values = answers(300, 60, 12.0)
    texts = [f"a {WORDS[row % 80]} thing" if text == "yes" and row % 3 == 0 else text for row, text in enumerate(texts)]
    values["adapted"] = np.where(np.arange(300) < 60, 0.0, values["adapted"])
    assert flagged(texts, values, one_style=False) == list(range(60))


def test_a_label_that_is_as_rare_as_it_costs_is_a_rare_label() -> None:
    assert flagged(*answers(300, 30, 2.3)) == []


def test_where_the_model_knows_no_label_none_is_unexpected() -> None:
    """Names of parts, say, that it has never been asked for: some cost more than others."""
    texts, values = answers(300, 30, 12.0)
    values["nll"] = values["nll"] + 5
    assert flagged(texts, values) == []
