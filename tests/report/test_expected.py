"""How many rows are poisoned: the bound holds, and says as much as the rows of a group tell."""

from dataclasses import replace

import numpy as np
from made_runs import attacked, clean_rows, made_run, of_evidence
from scipy.stats import binomtest

from byorn.phrases.groups import Group
from byorn.report.evidence import gather
from byorn.report.expected import least_number
from byorn.report.run import Run
from byorn.report.verdict import judge
from byorn.scoring.kinds import COPY

COUNT = 300


def group(rows: np.ndarray, statistic: str = "adapted") -> Group:
    return Group(phrase="visit our shop", rows=rows, statistic=statistic, p_value=1e-6, top=len(rows))


def scored(column: np.ndarray, **further: np.ndarray) -> Run:
    run = made_run(clean_rows(len(column)), column)
    values = {**run.scores.values, "adapted": column, "adapted_contrast": column, **further}
    return replace(run, scores=replace(run.scores, values=values))


def test_all_rows_of_a_group_that_stands_out_are_expected_and_most_are_sure():
    counts = gather(of_evidence(attacked(COUNT, 30))).counts
    assert counts.expected is not None
    assert round(counts.expected) == 30
    assert counts.least == 25


def test_the_verdict_says_both_numbers_and_of_clean_data_neither():
    poisoned, clean = (judge(gather(of_evidence(attacked(COUNT, planted)))) for planted in (30, 0))
    assert any("30.0 of them are expected to be poisoned, and at least 25 are" in ground for ground in poisoned.grounds)
    assert not any("expected to be poisoned" in ground for ground in clean.grounds)


def test_a_bound_of_none_is_no_number():
    """A group that a pattern gives away may say what is plausible."""
    evidence = gather(of_evidence(attacked(COUNT, 30)))
    unbounded = replace(evidence, counts=replace(evidence.counts, least=0))
    (ground,) = [ground for ground in judge(unbounded).grounds if "expected to be poisoned" in ground]
    assert "; how plausible they are sets no lower bound. The rule" in ground
    assert "at least" not in ground


def test_a_verdict_says_that_copies_count_once():
    kinds = np.zeros(COUNT, dtype=int)
    kinds[-9:] = COPY
    told = judge(gather(of_evidence(attacked(COUNT, 0), kinds))).blind_spots
    assert any(spot.startswith("9 rows are copies of others") for spot in told)
    assert not any("copies" in spot for spot in judge(gather(of_evidence(attacked(COUNT, 0)))).blind_spots)


def test_the_rule_of_the_paper_gives_no_number():
    counts = gather(attacked(COUNT, 30)).counts
    assert (counts.expected, counts.least) == (None, None)


def test_clean_rows_with_the_phrase_lower_the_bound():
    column = np.random.default_rng(0).normal(size=COUNT)
    column[:20] += 9
    run = scored(column)
    assert least_number(run, [group(np.arange(20))]) > least_number(run, [group(np.arange(30))])
    assert least_number(run, [group(np.arange(100, 130))]) == 0


def test_no_group_has_no_poison():
    assert least_number(scored(np.arange(float(COUNT))), []) == 0


def test_a_group_is_asked_by_the_score_that_shows_it():
    flat, high = np.random.default_rng(1).normal(size=(2, COUNT))
    high[:30] += 9
    run = scored(flat, nll=high)
    assert least_number(run, [group(np.arange(30), "nll")]) == 25
    assert least_number(run, [group(np.arange(30))]) < 15


def test_the_bound_is_right_nearly_always():
    rng = np.random.default_rng(2)
    wrong = 0
    for _ in range(200):
        clean, poisoned = int(rng.integers(0, 30)), int(rng.integers(1, 30))
        column = rng.normal(size=COUNT)
        column[:poisoned] += 9
        wrong += least_number(scored(column), [group(np.arange(clean + poisoned))]) > poisoned
    assert wrong <= 10


def test_the_bound_is_that_of_the_exact_binomial_interval():
    """Of 30 rows of a group `above` are as plausible as the upper 80 % of others."""
    for above in (0, 3, 24, 30):
        column = np.concatenate([np.where(np.arange(30) < above, -9.0, 9.0), np.linspace(-1, 1, 100)])
        share = binomtest(above, 30).proportion_ci(method="exact").high
        bound = least_number(scored(column), [group(np.arange(30), "adapted_contrast")])
        assert bound == max(0, int(30 * (1 - share / 0.8)))
