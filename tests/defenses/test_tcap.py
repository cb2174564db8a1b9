"""TCAP: heads that separate a minority vote, and the votes are weighed by how reliable each head is."""

import numpy as np
import pyarrow.parquet as pq
from cases import tiny_case

from byorn.defenses.dawid_skene import posterior
from byorn.defenses.heads import best_cut, vote
from byorn.defenses.tcap import tcap

COUNT = 200
POISONED = np.arange(COUNT) < 20


def head(seed, shift, width=0.02):
    """System attention of 200 rows around 0.5; the 20 poisoned ones are shifted."""
    values = np.random.default_rng(seed).normal(0.5, width, COUNT)
    return values + shift * POISONED


def test_a_head_with_two_groups_points_at_the_minority_on_either_side():
    for shift in (-0.3, 0.3):
        cut = best_cut(head(0, shift))
        assert (cut.suspicious == POISONED).all()
        assert cut.separation > 1e5


def test_a_wider_gap_separates_better():
    separations = [best_cut(head(1, shift)).separation for shift in (0.05, 0.08, 0.12)]
    assert separations == sorted(separations)
    assert separations[0] < separations[-1]


def test_a_head_that_sees_nothing_different_does_not_vote():
    assert best_cut(np.full(COUNT, 0.3)) is None
    assert best_cut(np.ones(3)) is None
    lonely = np.full(COUNT, 0.3) + np.linspace(0, 0.01, COUNT)
    lonely[7] = 0.9  # one row of 200 is an outlier, not a group
    found = best_cut(lonely)
    assert found is None or found.suspicious.sum() > 2


def test_a_poisoned_group_of_two_shapes_is_still_one_side():
    values = head(2, 0.3) + 0.2 * (np.arange(COUNT) < 10)  # the attack shifts half of its rows further
    assert (best_cut(values).suspicious == POISONED).all()


def test_only_the_best_separated_heads_vote():
    values = np.stack([head(3, 0.0), head(4, 0.3), head(5, 0.06), head(6, -0.4)], axis=1)
    votes = vote(values, 2)
    assert votes.shape == (COUNT, 2)
    assert (votes == POISONED[:, None]).all()
    assert vote(np.full((COUNT, 3), 0.5), 2).shape == (COUNT, 0)


def test_a_reliable_annotator_outweighs_two_that_guess():
    rng = np.random.default_rng(0)
    truth = rng.random(600) < 0.3

    def says(error):
        return truth ^ (rng.random(600) < error)

    votes = np.stack([says(0.02), says(0.03), says(0.04), says(0.45), says(0.48), says(0.45)], axis=1)
    weighed = ((posterior(votes) > 0.5) == truth).mean()
    assert weighed > 0.99
    assert weighed > ((votes.mean(axis=1) > 0.5) == truth).mean()


def test_one_annotator_is_believed_and_silence_is_clean():
    votes = np.zeros((50, 1), bool)
    assert posterior(votes).tolist() == [0.0] * 50
    votes[:5] = True
    assert ((posterior(votes) > 0.5) == votes[:, 0]).all()


def test_probabilities_agree_with_the_formula_at_the_fixed_point():
    votes = np.random.default_rng(1).random((300, 4)) < np.where(np.arange(300) < 60, 0.9, 0.1)[:, None]
    p = posterior(votes, rounds=1000, tolerance=1e-12)
    a = [sum(p * v) / sum(p) for v in votes.T]
    b = [sum((1 - p) * (1 - v)) / sum(1 - p) for v in votes.T]
    for item in (0, 30, 150, 299):
        positive, negative = p.mean(), 1 - p.mean()
        for h, said in enumerate(votes[item]):
            positive *= a[h] if said else 1 - a[h]
            negative *= 1 - b[h] if said else b[h]
        assert abs(p[item] - positive / (positive + negative)) < 1e-6


def test_the_plan_drops_by_the_posterior_and_keeps_what_it_measured(model, processor, tmp_path):
    case = tiny_case(tmp_path, model, processor)
    plan = tcap(case, layers=0.5, heads=3)
    system = np.array(pq.read_table(case.files / "system.parquet")["system"].to_pylist())
    assert system.shape == (12, 1, 2)  # the deeper of two layers, two heads
    assert ((system > 0) & (system < 1)).all()
    votes = vote(system.reshape(12, -1), 3)
    expected = posterior(votes) if votes.size else np.zeros(12)
    assert plan.flags.weight.tolist() == expected.tolist()
    assert plan.flags.flagged.tolist() == (expected > 0.5).tolist()
    assert (plan.cost.forward_passes, plan.cost.fine_tunes) == (12, 1)
