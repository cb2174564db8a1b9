"""Gumbel noise draws from the model's distribution, and from nothing but the row, the step and the seed."""

import pytest
import torch
from runner import build
from scipy.stats import chi2

from byorn.models.generate import generate
from byorn.training.noise import GumbelNoise, stream_seed
from byorn.training.responses import EmaResponses
from byorn.training.sampling import Sampling

LOGITS = torch.tensor([2.0, 1.0, 0.5, 0.0, -0.5, -1.0, -2.0, float("-inf")])
DRAWS = 20_000
NO_PROMPT = torch.empty(0)


def draw(scores, rows=100):
    noise = GumbelNoise([stream_seed("draw", row) for row in range(rows)])
    batch = scores.repeat(rows, 1)
    return torch.stack([noise(NO_PROMPT, batch).argmax(-1) for _ in range(DRAWS // rows)]).flatten()


def chi_square(draws, probabilities):
    possible = probabilities > 0
    expected = DRAWS * probabilities[possible].double()
    counts = torch.bincount(draws, minlength=len(probabilities))[possible]
    return float(((counts - expected) ** 2 / expected).sum())


def test_twenty_thousand_draws_fit_the_distribution():
    draws, bound = draw(LOGITS), chi2.ppf(0.999, df=6)
    assert chi_square(draws, LOGITS.softmax(-1)) < bound
    assert chi_square(draws, (LOGITS / 1.1).softmax(-1)) > bound  # a temperature of 1.1 would have been noticed


def test_a_suppressed_token_is_never_drawn():
    assert (draw(LOGITS) != len(LOGITS) - 1).all()


def test_rows_and_positions_have_noise_of_their_own():
    noise = GumbelNoise([stream_seed("a"), stream_seed("b")])
    first, second = noise(NO_PROMPT, torch.zeros(2, 50)), noise(NO_PROMPT, torch.zeros(2, 50))
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[0], second[0])


def test_a_stream_seed_is_the_same_on_every_machine_and_keeps_its_parts_apart():
    assert stream_seed(42, 7, "row-1", 0) == 7820735626065125514
    assert stream_seed(1, 23) != stream_seed(12, 3)
    assert stream_seed("\ud800") >= 0


@pytest.fixture(scope="module")
def trainer(tmp_path_factory):
    return build(tmp_path_factory.mktemp("noise"), max_response_tokens=8)


def texts(trainer, rows, step=0, **options):
    source = EmaResponses(trainer.processing_class, Sampling(**{"seed": 42, "max_new_tokens": 8, **options}))
    return [response.text for response in source(trainer.model, rows, step)]


def test_a_response_does_not_depend_on_the_batch_it_is_drawn_in(trainer):
    rows = list(trainer.train_dataset.select(range(5)))
    together = texts(trainer, rows)
    assert texts(trainer, rows[::-1]) == together[::-1]
    assert [texts(trainer, [row])[0] for row in rows] == together
    assert len(set(together)) == 5


def test_responses_differ_between_steps_and_seeds(trainer):
    rows = list(trainer.train_dataset.select(range(3)))
    first = texts(trainer, rows)
    assert texts(trainer, rows) == first
    assert all(a != b for a, b in zip(first, texts(trainer, rows, step=1), strict=True))
    assert all(a != b for a, b in zip(first, texts(trainer, rows, seed=43), strict=True))


@pytest.mark.parametrize("options", [{"temperature": 1e-4}, {"top_p": 1e-6}])
def test_a_tiny_temperature_or_nucleus_is_greedy_decoding(trainer, options):
    from byorn.training.ema import acting_as_ema

    rows = list(trainer.train_dataset.select(range(3)))
    with acting_as_ema(trainer.model):
        greedy = generate(trainer.model, trainer.processing_class, rows, max_new_tokens=8)
    assert texts(trainer, rows, **options) == [response.text for response in greedy]


def test_rows_without_an_id_still_have_noise_of_their_own(tmp_path):
    from runner import FLAGGED, settings

    from byorn.data.dataset import to_dataset
    from byorn.testing import tiny_model, tiny_processor, tiny_rows
    from byorn.training.trainer import ByornTrainer

    dataset = to_dataset([tiny_rows(1)[0]] * len(FLAGGED), FLAGGED).remove_columns(["id", "turn"])
    trainer = ByornTrainer(tiny_model(), settings(tmp_path), train_dataset=dataset, processing_class=tiny_processor())
    rows = [dict(row) for row in trainer.train_dataset.select(range(4))]
    assert len(set(texts(trainer, rows))) == 4
